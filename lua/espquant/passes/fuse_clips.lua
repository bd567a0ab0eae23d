--- Before: Min(Relu(x), 6), Min(Max(x, 0), 6), Clip(Relu(x)), Relu(Clip(x)), Clip(Clip(x)) and the like
--- After:  Clip(x, low, high), or Relu(x) where that is all
--- Before: Max(x, 0)    After: Relu(x)
--- Bounds are one number each, and what lies between has no other reader.
local pass = require "espquant.pass"
local core = require "espquant.core"
local numbers = require "espquant.numbers"

local MOST = 8 -- of a chain at a time; the rest follows
local FIRST_INPUTS = 11 -- the opset since which Clip's bounds are inputs

-- A number as a Clip's bound.
local function bound(graph, number)
  return number > -math.huge and number < math.huge
    and assert(graph:add_constant(nil, core.tensor_from({ number }, "float32", {})))
end

local function limiter(graph, node, x, low, high)
  local fields = { op_type = "Clip", name = node.name, inputs = { x }, before = node }
  if low == 0 and high == math.huge then fields.op_type = "Relu"
  elseif graph.opset >= FIRST_INPUTS then fields.inputs = { x, bound(graph, low), bound(graph, high) }
  else
    fields.attrs = { min = low > -math.huge and low or nil, max = high < math.huge and high or nil }
  end
  return assert(graph:add_node(fields))
end

-- What x is limited to by the node and what stands before it: x, low, high; nil where there is nothing to gain.
local function find(node)
  local x, low, high = numbers.limits(node)
  local gains = x and node.op_type == "Max" and low == 0
  local before = x and x:use_count() == 1 and x.producer
  for _ = 1, MOST do
    if not x or low > high or not before then break end
    local inner, first, last = numbers.limits(before)
    if not inner or not (first <= last) then break end -- luacheck: ignore 581
    x, low, high = inner, math.max(low, math.min(first, high)), math.max(low, math.min(last, high))
    gains, before = true, x:use_count() == 1 and x.producer
  end
  if gains and low <= high and numbers.same_form(x, node:output(1)) then return x, low, high end
end

return pass {
  name = "fuse_clips",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local x, low, high = nil, nil, nil
      if node.alive then x, low, high = find(node) end
      if x and pass.supersede(graph, node, limiter(graph, node, x, low, high)) then count = count + 1 end
    end
    return count
  end,
}
