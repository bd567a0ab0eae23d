--- The names of weights that a BatchNormalization is folded into, as the original's optimizer gives them: running
--- numbers in graph order, so that tables made for its result fit ours.
---
---     Before: Conv(x, w)  -> BatchNormalization(...)      After: Conv(x, "71", "73") -> BatchNormalization(...)
---
--- The first number is 2 more than the constants, results of nodes and inputs that the model has, and every tensor
--- takes two. To be done once, before the first pass.

local core = require "espquant.core"
local fuse_bn_into_conv = require "espquant.passes.fuse_bn_into_conv"
local pattern = require "espquant.pattern"

local M = {}

local function count_values(graph)
  local count = 0
  for _, value in ipairs(graph:values()) do
    if value.constant or value.producer or value.is_input then count = count + 1 end
  end
  return count
end

-- Input i of the node becomes a constant of its own with the next number that no value has.
local function number_input(graph, node, i, tensor, number)
  local old = node:input(i)
  while graph:value(tostring(number)) do number = number + 2 end
  assert(node:set_input(i, assert(graph:add_constant(tostring(number), tensor))))
  if old and old:use_count() == 0 then graph:remove_value(old) end
  return number + 2
end

--- Names weight and bias of every Conv that fuse_bn_into_conv is going to fold into; one without a bias gets zeros.
function M.apply(graph)
  local number = count_values(graph) + 2
  for _, node in ipairs(graph:node_list()) do
    local m = pattern.match(fuse_bn_into_conv.match, node)
    if m and fuse_bn_into_conv.factors(m) then
      local w, b = m.w.constant, m.b and m.b.constant
      number = number_input(graph, m.conv, 2, w, number)
      number = number_input(graph, m.conv, 3, b or core.tensor { w.shape[1] }, number)
    end
  end
end

return M
