--- The original evaluator as a graph rewrite: the float graph that carries integers in float32.
---
---     local g, outputs = original(graph, table, { bits = 8, granularity = "per-channel" })
---
--- The original quantizes, convolves, floors and clips with float operators, and lets most other operators pass values
--- through unscaled (fractional averages flow on). So this mode is no second simulator but this rewrite, run by the
--- float column. `outputs` is the list of names in the original's order: the graph's outputs, and per channel the value
--- before the last clip of each Conv and Gemm, "<output>/QACC_shift1:0".

local core = require "espquant.core"
local problem = require "espquant.quant.problem"
local v1 = require "espquant.quant.v1"

local Rewrite = {}
Rewrite.__index = Rewrite

-- What refuse raises, to be told from our own mistakes.
local Refusal = {}

local function refuse(code, text, ...)
  error(setmetatable({ message = text:format(...), code = code }, Refusal), 0)
end

-- Accumulators of the chip.
local ACCUMULATOR_BITS = { [8] = 20, [16] = 40 }

local function scalar(x)
  return core.tensor_from({ x }, "float32"):reshape {}
end

function Rewrite:constant(tensor)
  return self.graph:add_constant(nil, tensor)
end

-- Adds a node and returns its output.
function Rewrite:op(op_type, inputs, attrs, output)
  local node = self.graph:add_node {
    op_type = op_type, inputs = inputs, outputs = output and { output } or 1, attrs = attrs, before = self.before,
  }
  return node:output(1)
end

function Rewrite:mul(x, factor)
  return self:op("Mul", { x, self:constant(type(factor) == "number" and scalar(factor) or factor) })
end

function Rewrite:floor(x)
  return self:op("Floor", { x })
end

-- Half to even. Before opset 11 there is no Round: beside 1.5 * 2^23 a float32 has no room for a fraction; what is too
-- large for this trick is clipped anyway.
function Rewrite:round(x)
  if self.graph.opset >= 11 then return self:op("Round", { x }) end
  local large = self:constant(scalar(1.5 * 2 ^ 23))
  return self:op("Sub", { self:op("Add", { x, large }), large })
end

function Rewrite:clip(x, bits)
  local lo, hi = -2.0 ^ (bits - 1), 2.0 ^ (bits - 1) - 1
  if self.graph.opset < 11 then return self:op("Clip", { x }, { min = lo, max = hi }) end
  return self:op("Clip", { x, self:constant(scalar(lo)), self:constant(scalar(hi)) })
end

-- First scale of a tensor, and all of them. The quantized input stands for the graph's input.
function Rewrite:scale(value)
  local name = self.table_names[value.name] or value.name
  local scales = self.table:scales(name)
  if not scales then refuse("format", "the quantization parameter for %s is not provided", name) end
  return scales[1], scales
end

-- The scales of a weight, one for each channel in per-channel mode.
function Rewrite:weight_scales(node)
  local weight = node:input(2)
  local _, scales = self:scale(weight)
  local expected = self.per_channel and weight.constant.shape[v1.weight_axis(node) + 1] or 1
  if #scales ~= expected then
    refuse("format", "the table has %d scales for weight '%s', expected %d (%s)", #scales, weight.name, expected,
      self.per_channel and "per-channel" or "per-tensor")
  end
  return scales
end

-- Tensor of scales that broadcasts along the axis.
local function scales_along(scales, axis, rank)
  local shape = {}
  for i = 1, rank do shape[i] = i == axis + 1 and #scales or 1 end
  return core.tensor_from(scales, "float32"):reshape(shape)
end

-- round_half_even(t / scale), clipped, still float32. One scale, or one per entry of the axis; any numbers.
local function quantized(tensor, scales, axis, bits)
  local e, result, message = {}
  for i, s in ipairs(scales) do
    e[i] = core.exponent_of_scale(s)
    if not e[i] then break end
  end
  if #e == #scales then
    result, message = tensor:quantize(e, bits, #e > 1 and axis or nil)
  else
    local divisor = #scales > 1 and scales_along(scales, axis, tensor.rank) or scales[1]
    result, message = (tensor / divisor):quantize(0, bits)
  end
  return result and result:astype "float32" or refuse("format", "%s", message)
end

-- A vector of one value per channel in the shape that broadcasts against the output of `node`.
local function channel_shape(node, tensor)
  if node.op_type == "Conv" then
    local shape = { 1, -1 }
    for i = 3, node:input(2).constant.rank do shape[i] = 1 end
    return tensor:reshape(shape)
  end
  return tensor:reshape { 1, -1 }
end

-- --- Conv and Gemm ------------------------------------------------------------------------------------------------

-- Products of int16 do not fit float32's 24 bits, those of their bytes do: sums of these are exact, in any order, and
-- are rounded where they are put together. `sum(x, weight)` adds the node.
function Rewrite:sum_in_bytes(x, weight, sum)
  local w_high = weight:quantize(8, 16):astype "float32"
  local w_low = weight - w_high * 256
  local x_high = self:round(self:mul(x, 1 / 256))
  local x_low = self:op("Sub", { x, self:mul(x_high, 256) })
  local middle = self:op("Add", { sum(x_high, w_low), sum(x_low, w_high) })
  local high = self:op("Add", { self:mul(sum(x_high, w_high), 256), middle })
  return self:op("Add", { self:mul(high, 256), sum(x_low, w_low) })
end

-- The sum of products alone: the node without its bias.
function Rewrite:accumulate(node, weight)
  local attrs = node:attrs()
  attrs.beta = nil
  local function sum(x, w) return self:op(node.op_type, { x, self:constant(w) }, attrs) end
  local acc
  if self.bits == 8 then acc = sum(node:input(1), weight)
  else acc = self:sum_in_bytes(node:input(1), weight, sum) end
  return self:clip(acc, ACCUMULATOR_BITS[self.bits])
end

local function bias_of(node)
  local value = node:input(3)
  return value and value.constant
end

function Rewrite:linear_per_tensor(node)
  local weight, out = node:input(2), node:output(1)
  local s_in, s_w, s_out = self:scale(node:input(1)), self:weight_scales(node)[1], self:scale(out)
  local acc = self:accumulate(node, quantized(weight.constant, { s_w }, 0, self.bits))
  local y = self:floor(self:mul(acc, s_in * s_w / s_out))
  local bias = bias_of(node)
  if bias then
    local b = quantized(bias, { s_out }, 0, self.bits)
    y = self:op("Add", { y, self:constant(channel_shape(node, b)) })
  end
  return self:clip(y, self.bits)
end

-- f_c = 2^(k+12), or 0 for k < -12, as a factor of the value after the first shift.
local function second_factors(s_in, s_w, s_out)
  local list = {}
  for c, s in ipairs(s_w) do
    local factor = s_in * s * 16 / s_out
    list[c] = factor < 2.0 ^ -12 and 0.0 or factor
  end
  return list
end

function Rewrite:linear_per_channel(node)
  local weight, out = node:input(2), node:output(1)
  local s_in, s_out = self:scale(node:input(1)), self:scale(out)
  local s_w = self:weight_scales(node)
  local acc = self:accumulate(node, quantized(weight.constant, s_w, v1.weight_axis(node), 8))
  local t = self:floor(self:mul(acc, 1 / 16))
  local bias = bias_of(node)
  if bias then
    local s_b = {}
    for c, s in ipairs(s_w) do s_b[c] = s_in * s * 16 end
    local b = quantized(bias:reshape { -1 }, s_b, 0, 16)
    t = self:clip(self:op("Add", { t, self:constant(channel_shape(node, b)) }), 16)
  end
  local factors = channel_shape(node, core.tensor_from(second_factors(s_in, s_w, s_out), "float32"))
  local name = out.name .. "/QACC_shift1:0"
  local u = self:op("Floor", { self:mul(t, factors) }, nil, name)
  self.extra[#self.extra + 1] = name
  return self:clip(u, 8)
end

function Rewrite:linear(node)
  return self.per_channel and self:linear_per_channel(node) or self:linear_per_tensor(node)
end

-- --- activations and Add ------------------------------------------------------------------------------------------

local function truncate(x, bits)
  local unit = 2.0 ^ (bits - 1)
  local steps = x * unit
  return (steps >= 0 and math.floor(steps) or math.ceil(steps)) / unit
end

function Rewrite:leaky_relu(node)
  local alpha = node:has_attr "alpha" and truncate(node:attr "alpha", self.bits) or 0.01
  return self:clip(self:floor(self:op("LeakyRelu", { node:input(1) }, { alpha = alpha + 0.0 })), self.bits)
end

function Rewrite:prelu(node)
  local slope, flat = node:input(2).constant, {}
  for i, x in ipairs(slope:reshape({ -1 }):totable()) do flat[i] = truncate(x, self.bits) end
  local value = self:constant(core.tensor_from(flat, "float32"):reshape(slope.shape))
  return self:clip(self:floor(self:op("PRelu", { node:input(1), value })), self.bits)
end

-- The original names the rescaled operand after its tensor, so that a tensor rescaled in two Adds breaks it.
function Rewrite:rescaled(node, value, factor)
  local name = value.name .. "/scaled_input:0"
  if self.rescaled_names[name] then
    self.duplicate = self.duplicate or name
    local why = ("it rescales '%s', as another Add does; use mode \"chip\""):format(value.name)
    table.insert(self.problems, problem(node, why))
  end
  self.rescaled_names[name] = true
  return self:op("Floor", { self:mul(value, factor) })
end

function Rewrite:add(node)
  local a, b, out = node:input(1), node:input(2), node:output(1)
  local sa, sb, so = self:scale(a), self:scale(b), self:scale(out)
  local sum
  if sa >= sb then sum = self:op("Add", { a, self:rescaled(node, b, sb / sa) })
  else sum = self:op("Add", { self:rescaled(node, a, sa / sb), b }) end
  return self:clip(self:floor(self:mul(sum, math.max(sa, sb) / so)), self.bits)
end

local RULES = {
  Conv = Rewrite.linear, Gemm = Rewrite.linear, LeakyRelu = Rewrite.leaky_relu, PRelu = Rewrite.prelu,
  Add = Rewrite.add,
}

-- --- the graph ----------------------------------------------------------------------------------------------------

function Rewrite:input(value)
  local s = self:scale(value)
  local readers = value:users()
  self.before = self.graph:node_list()[1]
  local q = self:clip(self:round(self:mul(value, 1 / s)), self.bits)
  for _, node in ipairs(readers) do
    for i, input in ipairs(node.inputs) do
      if input and input == value then node:set_input(i, q) end
    end
  end
  self.table_names[q.name] = value.name
end

-- Puts the result in the place of the node; it takes over the name.
function Rewrite:replace(node, result)
  local out = node:output(1)
  local name = out.name
  self.graph:replace(out, result)
  node:remove()
  if result.name ~= name then result:rename(name) end
end

function Rewrite:run()
  local nodes = self.graph:node_list() -- the model's, without those that `input` adds
  for _, value in ipairs(self.graph.inputs) do self:input(value) end
  for _, node in ipairs(nodes) do
    local rule = RULES[node.op_type]
    if rule then
      self.before = node
      self:replace(node, rule(self, node))
    end
  end
end

--- Returns the rewritten graph and the names of its outputs, or nil, message, code, problems.
return function(graph, qtable, options)
  local clone = graph:clone()
  local self = setmetatable({
    graph = clone, table = qtable, bits = options.bits, per_channel = options.granularity == "per-channel",
    extra = {}, rescaled_names = {}, table_names = {}, problems = { exception = "Fail" },
  }, Rewrite)
  local ok, raised = pcall(self.run, self)
  if not ok then
    if getmetatable(raised) == Refusal then return nil, raised.message, raised.code end
    error(raised, 0)
  end
  if self.duplicate then
    local text = "[ONNXRuntimeError] : 1 : FAIL : This is an invalid model. Error: Duplicate definition of name (%s)."
    return nil, text:format(self.duplicate), "unsupported", self.problems
  end
  clone:prune()
  local names = {}
  for i, output in ipairs(clone.outputs) do names[i] = output.name end
  for _, name in ipairs(self.extra) do
    if clone:value(name) then names[#names + 1] = name end -- not those of layers whose result nobody reads
  end
  return clone, names
end
