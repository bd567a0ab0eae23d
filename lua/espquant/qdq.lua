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

-- at: which input is the scale of the result.
local function with_result(graph, node, at, build)
  local scale, zero = node:input(at), node:input(at + 1)
  local y = tensor(scale) and build(graph, node)
  if y then note(graph, y, scale, zero) end
  return y and true or false
end

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

local REWRITES = {
  QuantizeLinear = quantize, DequantizeLinear = dequantize,
  QLinearConv = function(graph, node) return with_result(graph, node, 7, convolution) end,
}
local DOMAIN = { QLinearAdd = "com.microsoft", QLinearMul = "com.microsoft" }
for name in pairs(PAIRS) do REWRITES[name] = function(graph, node) return with_result(graph, node, 7, pair) end end
for name in pairs(SINGLES) do
  DOMAIN[name] = "com.microsoft"
  REWRITES[name] = function(graph, node) return with_result(graph, node, 4, single) end
end

--- Makes the graph a float graph, in place; what has scales that are computed stays, and is refused by whoever needs to
--- know the operator. How many nodes went.
function M.import(graph)
  local count = 0
  for _, node in ipairs(graph:node_list()) do
    local rewrite = REWRITES[node.op_type]
    if rewrite and node.domain == (DOMAIN[node.op_type] or "") and rewrite(graph, node) then count = count + 1 end
  end
  -- What is computed between them is no integer now; the types that the file claims of it were.
  if count > 0 then
    graph:prune()
    graph:infer_shapes()
  end
  return count
end

return M
