--- Before: Transpose(x) -> Relu, Add, Concat, Pad, ReduceMean ... -> Transpose back
--- After:  x -> Relu, Add, Concat, Pad, ReduceMean ... with axes and constants in the other order
---
--- Transposes move towards the outputs through every operator that can work in the other order, and cancel where two
--- meet. It is tried on a copy first: the graph changes only if it has fewer nodes afterwards.
local pass = require "espquant.pass"
local core = require "espquant.core"

-- --- permutations ---------------------------------------------------------------------------------------------------

-- axis j of the result is axis perm[j] of the input, 0-based as in ONNX

local function inverse(perm)
  local list = {}
  for j, axis in ipairs(perm) do list[axis + 1] = j - 1 end
  return list
end

local function same(a, b)
  if #a ~= #b then return false end
  for i, x in ipairs(a) do
    if x ~= b[i] then return false end
  end
  return true
end

local function is_permutation(perm)
  local seen = {}
  for _, axis in ipairs(perm) do
    if axis < 0 or axis >= #perm or seen[axis] then return false end
    seen[axis] = true
  end
  return true
end

-- The Transpose that makes the value and its permutation, or nil.
local function transposed(value)
  local node = value and value.producer
  if not node or node.op_type ~= "Transpose" or node.domain ~= "" then return nil end
  local perm = pass.attr(node, "perm", "integers")
  return perm and is_permutation(perm) and perm or nil, node
end

-- --- what an operator's other inputs and attributes become -----------------------------------------------------------

-- An axis that may count from the end, in the order of the input; nil outside.
local function remap(perm, axis)
  if math.type(axis) ~= "integer" or axis < -#perm or axis >= #perm then return nil end
  return perm[(axis + #perm) % #perm + 1]
end

local function constant_integers(value)
  local t = value and value.constant
  return t and (t.dtype == "int64" or t.dtype == "int32") and t.rank == 1 and t.count > 0 and t:totable() or nil
end

-- A constant that broadcasts against a tensor of that order, before the order.
local function reorder(t, perm)
  if t.count == 1 and t.rank <= #perm then return t end
  local shape = {}
  for i = 1, #perm - t.rank do shape[i] = 1 end
  table.move(t.shape, 1, t.rank, #shape + 1, shape)
  return #shape == #perm and t:reshape(shape):transpose(inverse(perm)) or nil
end

-- The inputs without their Transposes; nil unless each has this one or is a constant of rank <= #perm.
local function strip(graph, node, perm, reorders)
  local inputs, tensors = {}, {}
  for i, value in ipairs(node.inputs) do
    local own, maker = transposed(value or nil)
    if own and same(own, perm) then inputs[i] = maker:input(1)
    else
      local tensor = value and value.constant and reorders and reorder(value.constant, perm)
      if not tensor then return nil end
      tensors[i], inputs[i] = tensor, false
    end
  end
  for i, tensor in pairs(tensors) do inputs[i] = assert(graph:add_constant(nil, tensor)) end
  return inputs
end

-- Each rule: what node `n` is after a Transpose by perm: its inputs, its attributes, and the perm behind it (default:
-- the same); nil where it cannot be moved.
local rules = {}

-- The first input only; the rest are numbers.
local function unary(_, node)
  local inputs = node.inputs
  inputs[1] = node:input(1).producer:input(1)
  return inputs, node:attrs()
end

local function broadcast(graph, node, perm)
  return strip(graph, node, perm, true), node:attrs()
end

function rules.Concat(graph, node, perm)
  local axis, attrs = remap(perm, node:attr "axis"), node:attrs()
  for _, value in ipairs(node.inputs) do
    local t = value and value.constant
    if t and (t.rank ~= #perm or t.count == 1) then return nil end
  end
  attrs.axis = axis
  return axis and strip(graph, node, perm, true), attrs
end

local function one_axis(_, node, perm)
  local axis, attrs = remap(perm, node:attr "axis"), node:attrs()
  local inputs = unary(_, node)
  attrs.axis = axis
  return axis and inputs, attrs
end

-- Twice as many numbers as axes, each half in the order of the axes.
local function in_order(list, perm, halves)
  local moved = {}
  if #list ~= halves * #perm then return nil end
  for half = 0, halves - 1 do
    for j, axis in ipairs(perm) do moved[half * #perm + axis + 1] = list[half * #perm + j] end
  end
  return moved
end

function rules.Pad(graph, node, perm)
  local inputs, attrs = unary(graph, node)
  local pads = node:input(2) and constant_integers(node:input(2)) or pass.attr(node, "pads", "integers")
  local moved = pads and not node:input(4) and in_order(pads, perm, 2)
  if not moved then return nil end
  if node:input(2) then inputs[2] = assert(graph:add_constant(nil, core.tensor_from(moved, "int64")))
  else attrs.pads = moved end
  return inputs, attrs
end

-- What is left of the order without some axes.
local function without(perm, removed)
  local rest, place = {}, {}
  local n = 0
  for axis = 0, #perm - 1 do
    if not removed[axis] then place[axis], n = n, n + 1 end
  end
  for _, axis in ipairs(perm) do
    if not removed[axis] then rest[#rest + 1] = place[axis] end
  end
  return rest
end

local function reduce(graph, node, perm)
  local inputs, attrs = unary(graph, node)
  local axes = node:input(2) and constant_integers(node:input(2)) or pass.attr(node, "axes", "integers")
  if not axes or #axes == 0 then return nil end
  local moved, removed = {}, {}
  for i, axis in ipairs(axes) do
    moved[i] = remap(perm, axis)
    if not moved[i] then return nil end
    removed[moved[i]] = true
  end
  table.sort(moved)
  if node:input(2) then inputs[2] = assert(graph:add_constant(nil, core.tensor_from(moved, "int64")))
  else attrs.axes = moved end
  return inputs, attrs, (node:attr "keepdims" == 0) and without(perm, removed) or perm
end

-- The result stands in the order of both, one Transpose behind the other.
function rules.Transpose(_, node, perm)
  local outer, joined = pass.attr(node, "perm", "integers"), {}
  if not outer or #outer ~= #perm or not is_permutation(outer) then return nil end
  for j, axis in ipairs(outer) do joined[j] = perm[axis + 1] end
  return { node:input(1).producer:input(1) }, nil, joined
end

for _, op in ipairs { "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "Elu", "HardSigmoid", "HardSwish", "Swish",
  "Gelu", "Abs", "Neg", "Exp", "Log", "Sqrt", "Erf", "Softplus", "Floor", "Ceil", "Round", "Identity", "Cast",
  "Not" } do
  rules[op] = unary
end
for _, op in ipairs { "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "PRelu", "Where", "Equal", "Less",
  "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor" } do
  rules[op] = broadcast
end
for _, op in ipairs { "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2",
  "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp" } do
  rules[op] = reduce
end

-- Before opset 13 they flatten the axes behind theirs.
for _, op in ipairs { "Softmax", "LogSoftmax" } do
  rules[op] = function(graph, node, perm)
    if graph.opset < 13 then return nil end
    return one_axis(graph, node, perm)
  end
end

-- --- the graph ------------------------------------------------------------------------------------------------------

local function is_identity(perm)
  for i, axis in ipairs(perm) do
    if axis ~= i - 1 then return false end
  end
  return true
end

local function first_order(node)
  for _, value in ipairs(node.inputs) do
    local perm = transposed(value or nil)
    if perm then return perm end
  end
end

-- The result of the node, made anew in the other order and then transposed.
local function rebuild(graph, node, inputs, attrs, perm)
  local made
  if node.op_type == "Transpose" then made = inputs[1]
  else
    made = assert(graph:add_node { op_type = node.op_type, name = node.name, inputs = inputs, attrs = attrs,
      before = node }):output(1)
    made:set_dtype(node:output(1).dtype)
  end
  if is_identity(perm) then
    if node.op_type == "Transpose" then return pass.replace(graph, node, made) end
    return pass.supersede(graph, node, made.producer)
  end
  local transpose = assert(graph:add_node { op_type = "Transpose", inputs = { made }, attrs = { perm = perm },
    before = node })
  return pass.supersede(graph, node, transpose)
end

local function discard(graph, inputs)
  for _, value in ipairs(inputs or {}) do
    if value and value.alive and value.constant and value:use_count() == 0 then graph:remove_value(value) end
  end
end

local function move_past(graph, node)
  local rule = node.domain == "" and #node.outputs == 1 and rules[node.op_type]
  local perm = rule and first_order(node)
  if not perm or not (transposed(node:input(1)) or rule == broadcast or node.op_type == "Concat") then return false end
  local inputs, attrs, behind = rule(graph, node, perm)
  if inputs and rebuild(graph, node, inputs, attrs, behind or perm) then return true end
  discard(graph, inputs)
  return false
end

local function transposes(graph)
  local count = 0
  for node in graph:nodes() do
    if node.op_type == "Transpose" then count = count + 1 end
  end
  return count
end

local MOST_ROUNDS = 8

local function sweep(graph)
  local total = 0
  for _ = 1, MOST_ROUNDS do
    local moved = 0
    for _, node in ipairs(graph:node_list()) do
      if node.alive and move_past(graph, node) then moved = moved + 1 end
    end
    total = total + moved
    if moved == 0 then break end
  end
  return total
end

return pass {
  name = "move_transposes",
  run = function(graph)
    if transposes(graph) == 0 then return 0 end
    local trial = assert(graph:clone())
    sweep(trial)
    local fewer = #trial < #graph
    trial:close()
    return fewer and sweep(graph) or 0
  end,
}
