--- Models of quantization-aware training as float graphs: QuantizeLinear and DequantizeLinear go, constants become the
--- floats that they stand for, QLinear operators become the operators that they imitate. What the scales say is kept as
--- facts in the graph's metadata, which stay in files; see espquant.model_scales. Float constants that pass a
--- QuantizeLinear stay as they are: quantization rounds them anew.
---
---     Before: DequantizeLinear(QuantizeLinear(x, 0.02, 0), 0.02, 0)     After: x, whose scale is 0.02
---     Before: QLinearConv(x, sx, zx, w, sw, zw, sy, zy, b)              After: Conv(x, (w-zw)*sw, b*sx*sw)

local model_scales = require "espquant.model_scales"

local M = {}

local INTEGERS = { int8 = true, uint8 = true, int16 = true, uint16 = true, int32 = true }

local function number(value)
  local t = value and value.constant
  return t and t.count == 1 and t:astype("float32"):item()
end

-- A tensor of one number per index of the axis, in a shape that broadcasts against rank dimensions.
local function along(t, axis, rank)
  if t.count == 1 then return t:reshape {} end
  local shape = {}
  for i = 1, rank do shape[i] = i == axis + 1 and t.count or 1 end
  return t:reshape(shape)
end

local function fits(t, q, axis) return t.count == 1 or t.rank == 1 and t.count == (q.shape[axis + 1] or -1) end

-- (q - zero) * scale in float32, or nil where they do not fit together. zero may be nil.
local function dequantized(q, scale, zero, axis)
  if axis < 0 then axis = axis + q.rank end
  if not INTEGERS[q.dtype] or not fits(scale, q, axis) or zero and not fits(zero, q, axis) then return nil end
  local x = q:astype "float32"
  if zero then x = x - along(zero:astype "float32", axis, q.rank) end
  return x * along(scale:astype "float32", axis, q.rank)
end

local function tensor(value) return value and value.constant end

-- Readers of the node's output read `value`; the output of a graph keeps its name.
local function finish(graph, node, value)
  local output = node:output(1)
  local ok = graph:replace(output, value)
  if not ok then
    local copy = graph:add_node { op_type = "Identity", inputs = { value }, before = node, outputs = 1 }
    assert(graph:replace(output, copy:output(1)))
  end
  assert(node:remove())
  return true
end

-- What is known of a tensor that is quantized by constants; false where they are no constants.
local function note(graph, value, scale, zero)
  local s, z = number(scale), zero and number(zero) or 0
  if not s or not z or value.constant then return end
  local fact = { scale = s, zero_point = math.tointeger(z), dtype = zero and zero.dtype or "uint8" }
  if fact.zero_point then model_scales.set(graph, value.name, fact) end
end

local function quantize(graph, node)
  local scale, zero = node:input(2), node:input(3)
  if not tensor(scale) or zero and not tensor(zero) or node:attr("block_size", 0) ~= 0 then return false end
  local x = node:input(1)
  finish(graph, node, x)
  note(graph, x, scale, zero) -- by the name that it has now
  return true
end

local function dequantize(graph, node)
  local x, scale, zero = node:input(1), node:input(2), node:input(3)
  if not tensor(scale) or zero and not tensor(zero) or node:attr("block_size", 0) ~= 0 then return false end
  if x.constant then
    if x.constant.dtype == "float32" then return finish(graph, node, x) end -- its QuantizeLinear went before
    local t = dequantized(x.constant, scale.constant, tensor(zero), node:attr("axis", 1))
    return t and finish(graph, node, graph:add_constant(nil, t))
  end
  if x.is_input then x:set_dtype "float32" end
  finish(graph, node, x)
  note(graph, x, scale, zero)
  return true
end

-- A float operand: the constant's numbers, or the value, which is float by now or a graph input that becomes so.
local function operand(graph, value, scale, zero, axis)
  if value.constant then
    local t = tensor(scale) and dequantized(value.constant, scale.constant, tensor(zero), axis or 0)
    return t and graph:add_constant(nil, t)
  end
  note(graph, value, scale, zero)
  if value.is_input then value:set_dtype "float32" end
  return value
end

local function float_node(graph, node, op, inputs, attrs)
  for i = 1, #inputs do
    if not inputs[i] then return false end
  end
  local new = graph:add_node {
    op_type = op, name = node.name, inputs = inputs, attrs = attrs, before = node, outputs = 1,
  }
  local old = node:output(1).name
  local value = new:output(1)
  finish(graph, node, value)
  if value.name ~= old and not graph:value(old) then value:rename(old) end
  return value
end

local function bias(graph, node)
  local b, sx, sw = tensor(node:input(9)), number(node:input(2)), tensor(node:input(5))
  local t = b and sx and b.rank == 1 and dequantized(b, sw:astype "float32" * sx, nil, 0)
  return t and graph:add_constant(nil, t)
end

local function convolution(graph, node)
  for _, i in ipairs { 2, 4, 5, 7 } do
    if not tensor(node:input(i)) then return false end
  end
  local inputs = { operand(graph, node:input(1), node:input(2), node:input(3)) or false,
    operand(graph, node:input(4), node:input(5), node:input(6), 0) or false }
  if node:input(9) then inputs[3] = bias(graph, node) or false end
  return float_node(graph, node, "Conv", inputs, node:attrs())
end

-- a, its scale, its zero point, b, its own, then those of the result.
local PAIRS = { QLinearMatMul = "MatMul", QLinearAdd = "Add", QLinearMul = "Mul" }

-- Operators of one tensor: x, its scale and zero point, those of the result.
local SINGLES = {
  QLinearSigmoid = "Sigmoid", QLinearLeakyRelu = "LeakyRelu", QLinearAveragePool = "AveragePool",
  QLinearGlobalAveragePool = "GlobalAveragePool",
}

local function pair(graph, node)
  local b = node:input(4)
  return float_node(graph, node, PAIRS[node.op_type], {
    operand(graph, node:input(1), node:input(2), node:input(3)) or false,
    operand(graph, b, node:input(5), node:input(6), b.constant and b.constant.rank - 1) or false,
  })
end

local function single(graph, node)
  local attrs = node:attrs()
  if attrs.channels_last and attrs.channels_last ~= 0 then return false end
  attrs.channels_last = nil
  return float_node(graph, node, SINGLES[node.op_type],
    { operand(graph, node:input(1), node:input(2), node:input(3)) or false }, attrs)
end

-- A, B and their scales, C in steps of their product, the result's scale, without which it is float.
local function gemm(graph, node)
  local sa, sb, c = number(node:input(2)), tensor(node:input(5)), node:input(7)
  local alpha, trans_b = node:attr("alpha", 1), node:attr("transB", 0)
  local inputs = { operand(graph, node:input(1), node:input(2), node:input(3)) or false,
    operand(graph, node:input(4), node:input(5), node:input(6), trans_b == 0 and 1 or 0) or false }
  if c then
    local t = tensor(c) and sa and sb and dequantized(c.constant, sb:astype "float32" * (sa * alpha), nil, -1)
    inputs[3] = t and graph:add_constant(nil, t) or false
  end
  return float_node(graph, node, "Gemm", inputs, { alpha = alpha, transA = node:attr("transA", 0), transB = trans_b })
end

-- It says itself whose meaning of axis it has: that of opset 13, or the older one, equal for a last axis.
local function softmax(graph, node)
  local axis, x = node:attr("axis", -1), node:input(1)
  local is_last = axis == -1 or x.shape and axis == #x.shape - 1
  if not is_last and (node:attr("opset", 13) >= 13) ~= (graph.opset >= 13) then return false end
  return float_node(graph, node, "Softmax", { operand(graph, x, node:input(2), node:input(3)) or false },
    { axis = axis })
end

local function concat(graph, node)
  local inputs = {}
  for i = 3, #node.inputs, 3 do
    inputs[#inputs + 1] = operand(graph, node:input(i), node:input(i + 1), node:input(i + 2)) or false
  end
  return float_node(graph, node, "Concat", inputs, { axis = node:attr "axis" })
end

-- Which inputs hold integers that the scale after each of them explains.
local function one() return { 1 } end
local function two() return { 1, 4 } end
local function every_third(node)
  local list = {}
  for i = 3, #node.inputs, 3 do list[#list + 1] = i end
  return list
end

-- result: which input is the scale of the result; none of a float result. Each with its domain.
local OPERATORS = {
  QuantizeLinear = { rewrite = quantize, data = one, result = 2 },
  DequantizeLinear = { rewrite = dequantize, data = one },
  QLinearConv = { build = convolution, data = two, result = 7 },
  QGemm = { build = gemm, data = two, result = 8, domain = "com.microsoft" },
  QLinearSoftmax = { build = softmax, data = one, result = 4, domain = "com.microsoft" },
  QLinearConcat = { build = concat, data = every_third, result = 1, domain = "com.microsoft" },
}
for name in pairs(PAIRS) do OPERATORS[name] = { build = pair, data = two, result = 7, domain = "com.microsoft" } end
OPERATORS.QLinearMatMul.domain = nil
for name in pairs(SINGLES) do OPERATORS[name] = { build = single, data = one, result = 4, domain = "com.microsoft" } end

local function operator(node)
  local op = OPERATORS[node.op_type]
  return op and node.domain == (op.domain or "") and op or nil
end

-- What moves numbers and computes none takes integers as it takes floats.
local CARRIERS = {
  Concat = true, DepthToSpace = true, Expand = true, Flatten = true, Gather = true, Identity = true, MaxPool = true,
  Reshape = true, Resize = true, Slice = true, SpaceToDepth = true, Split = true, Squeeze = true, Tile = true,
  Transpose = true, Unsqueeze = true,
}

-- What reads them and says the same of the floats.
local WITNESSES = { ArgMax = true, ArgMin = true, Shape = true, Size = true }

-- Whether input i of the node may be such an integer, and whether outputs then are.
local function takes_integer(node, op, i)
  if op then
    for _, k in ipairs(op.data(node)) do
      if k == i then return node.op_type ~= "QuantizeLinear", false end
    end
  elseif node.domain == "" and (i == 1 or node.op_type == "Concat") then
    return CARRIERS[node.op_type] or WITNESSES[node.op_type], CARRIERS[node.op_type]
  end
end

local function mark_outputs(node, integers)
  for _, value in ipairs(node.outputs) do
    if value then integers[value.name] = true end
  end
end

-- Whether integers that the node reads or makes come or go in a way that is not known; marks those that it makes.
local function is_stranger(node, op, integers)
  for i, value in ipairs(node.inputs) do
    local allowed, carried = takes_integer(node, op, i)
    local is_integer = value and integers[value.name]
    if is_integer and not allowed then return true end
    if op and allowed and value and value.producer and not is_integer then return true end
    if is_integer and carried then mark_outputs(node, integers) end
  end
  if op and op.result and node:input(op.result) then mark_outputs(node, integers) end
  return false
end

-- A node that stands in the way.
local function find_stranger(graph)
  local integers = {}
  for node in graph:nodes() do
    if is_stranger(node, operator(node), integers) then return node end
  end
end

-- Nothing has checked the node yet, whether its inputs are there and of which types its attributes are.
local INTEGERS_AMONG = { "axis", "block_size", "transA", "transB", "opset", "channels_last" }

local function is_well_formed(node, op)
  for _, i in ipairs(op.data(node)) do
    if not node:input(i) then return false end
  end
  for _, name in ipairs(INTEGERS_AMONG) do
    if node:has_attr(name) and math.type(node:attr(name)) ~= "integer" then return false end
  end
  return not node:has_attr "alpha" or math.type(node:attr "alpha") == "float"
end

local function rewrite(graph, node, op)
  if not is_well_formed(node, op) then return false end
  if op.rewrite then return op.rewrite(graph, node) end
  local scale, zero = node:input(op.result), node:input(op.result + 1)
  if scale and not tensor(scale) then return false end
  local y = op.build(graph, node)
  if y and scale then note(graph, y, scale, zero) end
  return y and true or false
end

local function reads_computed(node, op)
  for _, i in ipairs(op.data(node)) do
    if not tensor(node:input(i)) then return true end
  end
end

-- How many nodes went, and one that did not and whose data is computed.
local function rewrite_all(graph)
  local count = 0
  for _, node in ipairs(graph:node_list()) do
    local op = operator(node)
    if op and rewrite(graph, node, op) then count = count + 1
    elseif op and reads_computed(node, op) then return count, node end
  end
  return count
end

local function has_any(graph)
  for node in graph:nodes() do if operator(node) then return true end end
end

--- The model as a float graph: a new one, or the same where nothing is to do. All of it or nothing: where integers go
--- through a node that is not known, or scales are computed, the model stays as it is, and the second result says why.
function M.import(model)
  if not has_any(model) then return model end
  local graph = assert(model:clone())
  local left = find_stranger(graph)
  local count = 0
  if not left then count, left = rewrite_all(graph) end
  if left then
    return model, ("the model stays quantized, since %s computes with its integers, which espquant cannot follow")
      :format(left:label())
  end
  -- What is computed between them is no integer now; the types that the file claims of it were.
  if count > 0 then
    graph:prune()
    graph:infer_shapes()
  end
  return graph
end

return M
