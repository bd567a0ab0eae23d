--- Before: x -> Reshape, Flatten, Squeeze, Unsqueeze, Transpose of axes of size 1, two or more -> y
--- After:  Reshape(x, the shape of y)
--- Nobody else reads what is between; y has at most one dimension that is not known, and none that is 0.
local pass = require "espquant.pass"
local axes = require "espquant.axes"
local core = require "espquant.core"

local RESHAPES = { Reshape = true, Flatten = true, Squeeze = true, Unsqueeze = true }
local MOST = 16 -- of a chain at a time; the rest follows

-- Whether only axes of size 1 change places.
local function keeps_order(node)
  local shape = node:input(1).shape
  local perm = shape and axes.permutation(node, #shape)
  local last = -1
  for _, axis in ipairs(perm or {}) do
    if shape[axis + 1] ~= 1 then
      if axis < last then return false end
      last = axis
    end
  end
  return perm and true
end

local function reshapes(node)
  if not node or node.domain ~= "" then return false end
  return RESHAPES[node.op_type] or (node.op_type == "Transpose" and keeps_order(node))
end

-- The first node of the chain that ends with this one.
local function first_of(node)
  local first = node
  for _ = 1, MOST do
    local value = first:input(1)
    local before = value and value.producer
    if not before or value:use_count() > 1 or not reshapes(before) then break end
    first = before
  end
  return first
end

-- The shape as a Reshape's target; nil where two dimensions are open, or one is 0.
local function target_of(value)
  local target, open = value.shape or { 0 }, 0
  for i, d in ipairs(target) do
    if d == 0 then return nil end
    if math.type(d) ~= "integer" then target[i], open = -1, open + 1 end
  end
  return open <= 1 and target
end

local function join(graph, node)
  local first = first_of(node)
  local target = first ~= node and target_of(node:output(1))
  if not target then return false end
  local shape = assert(graph:add_constant(nil, core.tensor_from(target, "int64", { #target })))
  local reshape = assert(graph:add_node { op_type = "Reshape", name = node.name, inputs = { first:input(1), shape },
    before = node })
  if pass.supersede(graph, node, reshape) then return true end
  assert(reshape:remove())
  graph:remove_value(shape)
  return false
end

return pass {
  name = "fuse_reshapes",
  run = function(graph)
    local count, list = 0, graph:node_list()
    for i = #list, 1, -1 do -- the last of a chain first
      if list[i].alive and reshapes(list[i]) and join(graph, list[i]) then count = count + 1 end
    end
    return count
  end,
}
