--- What operators become behind a Transpose: the same on the tensor before it, with axes, lists and constants in the
--- other order, and a Transpose of the result. A permutation says that axis j of the result is axis perm[j] of the
--- input, 0-based as in ONNX.
---
---     local rule = transpose_rules.of(node)
---     local inputs, attrs, behind = rule(graph, node, perm)     -- nil: it cannot work in the other order
---
--- `behind` is the permutation of the results; nil: the same. Constants that a rule adds are read by `inputs` only.
local core = require "espquant.core"
local axes = require "espquant.axes"

local M = {}

--- The Transpose that makes the value: its permutation and node, or nil.
function M.transposed(value)
  local node = value and value.producer
  if not node or node.op_type ~= "Transpose" or node.domain ~= "" or not node:has_attr "perm" then return nil end
  local perm = axes.permutation(node)
  return perm or nil, node
end

local function inverse(perm)
  local list = {}
  for j, axis in ipairs(perm) do list[axis + 1] = j - 1 end
  return list
end

-- An axis that may count from the end, in the order of the input; nil outside.
local function remap(perm, axis)
  if math.type(axis) ~= "integer" or axis < -#perm or axis >= #perm then return nil end
  return perm[(axis + #perm) % #perm + 1]
end

local function remap_all(perm, list)
  local moved = {}
  for i, axis in ipairs(list) do
    moved[i] = remap(perm, axis)
    if not moved[i] then return nil end
  end
  return moved
end

-- A list with an entry, or one in each of so many parts, per axis.
local function in_order(list, perm, parts)
  local moved = {}
  if #list ~= parts * #perm then return nil end
  for part = 0, parts - 1 do
    for j, axis in ipairs(perm) do moved[part * #perm + axis + 1] = list[part * #perm + j] end
  end
  return moved
end

-- What is left of the order without some axes of the input.
local function without(perm, removed)
  local rest, place, gone = {}, {}, {}
  for _, axis in ipairs(removed) do gone[axis] = true end
  local n = 0
  for axis = 0, #perm - 1 do
    if not gone[axis] then place[axis], n = n, n + 1 end
  end
  for _, axis in ipairs(perm) do
    if not gone[axis] then rest[#rest + 1] = place[axis] end
  end
  return rest
end

local function add_integers(graph, list) return assert(graph:add_constant(nil, core.tensor_from(list, "int64"))) end

-- --- one tensor, and numbers ----------------------------------------------------------------------------------------

-- The inputs with the first before its Transpose.
local function stripped(node)
  local inputs = node.inputs
  inputs[1] = node:input(1).producer:input(1)
  return inputs
end

local function unary(_, node) return stripped(node), node:attrs() end

-- Gives the list where the node had its own: in input i, or in the attribute.
local function with_list(graph, node, name, i, list)
  local inputs, attrs = stripped(node), node:attrs()
  if not list then return nil end
  if node:input(i) then inputs[i] = add_integers(graph, list) else attrs[name] = list end
  return inputs, attrs
end

local function one_axis(_, node, perm)
  local axis, attrs = remap(perm, node:attr "axis"), node:attrs()
  attrs.axis = axis
  return axis and stripped(node), attrs
end

-- Before opset 13 they flatten the axes behind theirs.
local function softmax(graph, node, perm)
  if graph.opset < 13 then return nil end
  return one_axis(graph, node, perm)
end

local function pad(graph, node, perm)
  if node:input(4) then
    local list = axes.constant_list(node, 4)
    return with_list(graph, node, "axes", 4, list and remap_all(perm, list))
  end
  local pads = axes.read(node, "pads", 2)
  return with_list(graph, node, "pads", 2, pads and in_order(pads, perm, 2))
end

local function tile(graph, node, perm)
  local repeats = axes.constant_list(node, 2)
  return with_list(graph, node, "repeats", 2, repeats and in_order(repeats, perm, 1))
end

local function expand(graph, node, perm)
  local target = axes.constant_list(node, 2) or { 0 }
  if #target > #perm then return nil end
  while #target < #perm do table.insert(target, 1, 1) end
  return with_list(graph, node, "shape", 2, in_order(target, perm, 1))
end

-- Without axes it cuts the first ones, as many as there are bounds.
local function slice(graph, node, perm)
  local list = axes.read(node, "axes", 4)
  if not list and not node:input(4) and not node:has_attr "axes" then
    list = axes.read(node, "starts", 2) or {}
    for i in ipairs(list) do list[i] = i - 1 end
  end
  local moved = list and #list > 0 and remap_all(perm, list)
  if not moved then return nil end
  local inputs, attrs = stripped(node), node:attrs()
  local starts = node:input(2) -- axes have their type
  if not starts then attrs.axes = moved
  else inputs[4] = assert(graph:add_constant(nil, core.tensor_from(moved, starts.dtype or "int64"))) end
  return inputs, attrs
end

local function squeeze(graph, node, perm)
  local list = axes.normalize(axes.read(node, "axes", 2), #perm)
  local moved = list and remap_all(perm, list)
  if not moved then return nil end
  table.sort(moved)
  local inputs, attrs = with_list(graph, node, "axes", 2, moved)
  return inputs, attrs, without(perm, moved)
end

-- The order that channels-last networks have: the result's axes in those of channels-first.
local function channels_last(rank)
  local perm = { 0 }
  for axis = 2, rank - 1 do perm[axis] = axis end
  perm[rank] = rank > 1 and 1 or 0
  return perm
end

-- Where the new axes lie in a tensor of which the result is that Transpose; nil where its other axes would not be those
-- of the input, in their order.
local function new_axes(perm, list, behind)
  local is_new, moved, places, n = {}, {}, {}, 0
  for _, axis in ipairs(list) do is_new[axis] = true end
  for axis, place in ipairs(behind) do
    if is_new[axis - 1] then moved[#moved + 1] = place
    else n, places[perm[n + 1] + 1] = n + 1, place end
  end
  for i = 2, #places do
    if places[i] < places[i - 1] then return nil end
  end
  table.sort(moved)
  return moved
end

-- The order of the result when the new axes stay where they are.
local function around(perm, list)
  local is_new, old, behind, n = {}, {}, {}, 0
  for _, axis in ipairs(list) do is_new[axis] = true end
  for axis = 0, #perm + #list - 1 do
    if not is_new[axis] then old[#old + 1] = axis end
  end
  for axis = 0, #perm + #list - 1 do
    if is_new[axis] then behind[axis + 1] = axis
    else n, behind[axis + 1] = n + 1, old[perm[n + 1] + 1] end
  end
  return behind
end

local function unsqueeze(graph, node, perm)
  local list = axes.read(node, "axes", 2)
  list = list and axes.normalize(list, #perm + #list)
  if not list then return nil end
  local behind = channels_last(#perm + #list)
  local moved = new_axes(perm, list, behind)
  if not moved then moved, behind = list, around(perm, list) end
  local inputs, attrs = with_list(graph, node, "axes", 2, moved)
  return inputs, attrs, behind
end

local function reduce(graph, node, perm)
  local list = axes.normalize(axes.read(node, "axes", 2), #perm)
  local moved = list and #list > 0 and remap_all(perm, list)
  if not moved then return nil end
  table.sort(moved)
  local inputs, attrs = with_list(graph, node, "axes", 2, moved)
  return inputs, attrs, node:attr "keepdims" == 0 and without(perm, moved) or nil
end

local function arg(graph, node, perm)
  local inputs, attrs = one_axis(graph, node, perm)
  return inputs, attrs, inputs and node:attr "keepdims" == 0 and without(perm, { attrs.axis }) or nil
end

-- A number takes its axis away, a list keeps it; what has more axes puts them in between.
local function gather(graph, node, perm)
  local index = node:input(2) and node:input(2).shape
  if not index or #index > 1 then return nil end
  local inputs, attrs = one_axis(graph, node, perm)
  return inputs, attrs, inputs and #index == 0 and without(perm, { attrs.axis }) or nil
end

-- The inputs that hold a number per axis; nil where a region of interest does, too.
local function numbered_inputs(graph, node)
  if node.op_type == "Upsample" or graph.opset < 11 then return node:input(2) and { 2 } end
  local roi = node:input(2)
  if roi and not (roi.constant and roi.constant.count == 0) then return nil end
  return { 3, 4 }
end

-- Numbers of all axes, or of those that the attribute names.
local function resize(graph, node, perm)
  local inputs, attrs, tensors = stripped(node), node:attrs(), {}
  if attrs.axes then
    attrs.axes = remap_all(perm, axes.attribute(node, "axes") or { #perm })
    return attrs.axes and inputs, attrs
  end
  local places = numbered_inputs(graph, node)
  for _, i in ipairs(places or {}) do
    local t = inputs[i] and inputs[i].constant
    if inputs[i] and not t then return nil end
    local moved = t and t.count > 0 and in_order(t:totable(), perm, 1)
    if t and t.count > 0 and not moved then return nil end
    tensors[i] = moved and core.tensor_from(moved, t.dtype) or nil
  end
  for i, tensor in pairs(tensors) do inputs[i] = assert(graph:add_constant(nil, tensor)) end
  return places and inputs, attrs
end

-- What is normalized stays where it is.
local function layer_normalization(_, node, perm)
  local axis = node:attr "axis"
  if math.type(axis) ~= "integer" or axis < -#perm or axis >= #perm then return nil end
  for j = (axis + #perm) % #perm + 1, #perm do
    if perm[j] ~= j - 1 then return nil end
  end
  return stripped(node), node:attrs()
end

-- The result stands in the order of both, one Transpose behind the other.
local function transpose(_, node, perm)
  local outer = axes.permutation(node, #perm)
  if not outer then return nil end
  return { node:input(1).producer:input(1) }, nil, axes.compose(perm, outer)
end

-- --- several tensors ------------------------------------------------------------------------------------------------

-- A constant that broadcasts against a tensor of that order, before the order.
local function reorder(t, perm)
  if t.count == 1 and t.rank <= #perm then return t end
  local shape = {}
  for i = 1, #perm - t.rank do shape[i] = 1 end
  table.move(t.shape, 1, t.rank, #shape + 1, shape)
  return #shape == #perm and t:reshape(shape):transpose(inverse(perm)) or nil
end

-- Whether putting the value in the other order moves axes of size 1 only: what made it can make it so.
local function is_free(value, perm)
  local shape, last = value.shape, -1
  if not value.producer or not shape or #shape ~= #perm then return false end
  for _, axis in ipairs(inverse(perm)) do
    if shape[axis + 1] ~= 1 then
      if axis < last then return false end
      last = axis
    end
  end
  return true
end

-- The inputs without their Transposes; nil unless each has this one, is a constant of rank <= #perm or can be had in
-- the other order for nothing.
local function strip(graph, node, perm)
  local inputs, tensors, free = {}, {}, {}
  for i, value in ipairs(node.inputs) do
    local own, maker = M.transposed(value or nil)
    inputs[i] = own and axes.equal(own, perm) and maker:input(1) or false
    if not inputs[i] then
      tensors[i] = value and value.constant and reorder(value.constant, perm)
      free[i] = not tensors[i] and value and not value.constant and is_free(value, perm) and value or nil
      if not tensors[i] and not free[i] then return nil end
    end
  end
  for i, tensor in pairs(tensors) do inputs[i] = assert(graph:add_constant(nil, tensor)) end
  for i, value in pairs(free) do
    inputs[i] = assert(graph:add_node { op_type = "Transpose", inputs = { value }, attrs = { perm = inverse(perm) },
      before = node }):output(1)
    inputs[i]:set_dtype(value.dtype)
  end
  return inputs
end

local function broadcast(graph, node, perm) return strip(graph, node, perm), node:attrs() end

local function concat(graph, node, perm)
  local axis, attrs = remap(perm, node:attr "axis"), node:attrs()
  for _, value in ipairs(node.inputs) do
    local t = value and value.constant
    if t and (t.rank ~= #perm or t.count == 1) then return nil end
  end
  attrs.axis = axis
  return axis and strip(graph, node, perm), attrs
end

-- --- which operator has which ---------------------------------------------------------------------------------------

local rules = {
  Concat = concat, Pad = pad, Tile = tile, Expand = expand, Slice = slice, Split = one_axis, Squeeze = squeeze,
  Unsqueeze = unsqueeze, Gather = gather, Resize = resize, Upsample = resize, Softmax = softmax, LogSoftmax = softmax,
  LpNormalization = one_axis, ArgMax = arg, ArgMin = arg, LayerNormalization = layer_normalization,
  RMSNormalization = layer_normalization, Transpose = transpose,
}

local function set(rule, names)
  for name in names:gmatch "%w+" do rules[name] = rule end
end

set(unary, [[Abs Cast Ceil Celu Clip Cos Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log
  Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Swish Tanh ThresholdedRelu]])
set(broadcast, [[Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or PRelu Pow Sub Sum Where
  Xor]])
set(reduce, [[ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
  ReduceSumSquare]])

--- The rule of a node, or nil; second, whether any of its inputs may be the one behind a Transpose.
function M.of(node)
  local rule = node.domain == "" and rules[node.op_type] or nil
  return rule, rule == broadcast or rule == concat
end

return M
