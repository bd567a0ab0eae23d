--- From a float graph and a table to the quantized graph: what the integer kernels run and exporters read.
---
---     local q = apply(graph, table, { bits = 8, granularity = "per-channel", accumulator = "exact" })
---
--- Every activation carries its exponent, every constant that takes part in arithmetic is an integer tensor with its
--- exponents, every node is in its integer column. LeakyRelu becomes PRelu with one slope: one kernel serves both.
--- ESP-DL v1 has one width in the whole graph, and a table whose tensors do not agree where an operator needs one scale
--- is refused, so no seam nodes appear.

local core = require "espquant.core"
local entries = require "espquant.quant.entries"
local v1 = require "espquant.quant.v1"

local Apply = setmetatable({}, entries)
Apply.__index = Apply

local MAX_EXPONENT = 1000 -- no sum of a few of them leaves what kernels compute with

-- --- constants ----------------------------------------------------------------------------------------------------

-- Puts the quantized form of a constant into the node's input; shared with other nodes that need the same form.
function Apply:constant(node, index, exponents, bits, axis)
  local value = node:input(index)
  local key = ("%d|%d|%s|%s"):format(bits, axis or 0, table.concat(exponents, ","), value.name)
  local new = self.constants[key]
  if not new then
    local tensor = assert(value.constant:quantize(exponents, bits, axis))
    new = value
    if value:use_count() == 1 then value:set_constant(tensor) else new = self.graph:add_constant(nil, tensor) end
    new:set_quant(bits, exponents)
    self.constants[key] = new
  end
  if new ~= value then node:set_input(index, new) end
end

-- Of a weight: one exponent, or in per-channel mode one for each channel. Anything else is another model's table.
function Apply:weight_exponents(weight, axis)
  local list = self:exponents(weight.name, "weight")
  local expected = self.per_channel and weight.constant.shape[axis + 1] or 1
  if not list or #list == expected then return list end
  local granularity = self.per_channel and "per-channel" or "per-tensor"
  self:problem("the table has %d exponents for weight '%s', expected %d (%s); calibrate %s", #list, weight.name,
    expected, granularity, granularity)
end

-- A single number for all channels becomes one for each, since their exponents differ.
function Apply:one_for_each(node, index, channels)
  local bias = node:input(index).constant
  if bias.count == channels then return end
  local list = {}
  for c = 1, channels do list[c] = bias:item() end
  node:set_input(index, self.graph:add_constant(nil, core.tensor_from(list, "float32")))
end

-- The bias exponents follow from those of input, weight and output: the entry of a bias that two nodes share is that of
-- the last one only.
function Apply:bias(node, index, e_w)
  if not self.per_channel then
    local e_out = self:exponent(node:output(1))
    if e_out then self:constant(node, index, { e_out }, self.bits) end
    return
  end
  local e_in, list = self:exponent(node:input(1)), {}
  if not e_in then return end
  self:one_for_each(node, index, #e_w)
  for c = 1, #e_w do list[c] = core.exponent_of_bias(e_in, e_w[c]) end
  self:constant(node, index, list, 16, #list > 1 and node:input(index).constant.rank - 1 or nil)
end

function Apply:weight_and_bias(node, op)
  local weight, axis = node:input(op.weight + 1), v1.weight_axis(node)
  local e_w = self:weight_exponents(weight, axis)
  if not e_w then return end
  self:constant(node, op.weight + 1, e_w, self.bits, #e_w > 1 and axis or nil)
  if op.bias >= 0 and node:input(op.bias + 1) then self:bias(node, op.bias + 1, e_w) end
end

-- A constant that is an operand: of one exponent, also where it is another node's weight as well and has several. Its
-- own where operands are aligned and for a slope, else the output's.
function Apply:operand(node, index, op)
  local name = node:input(index).name
  local has_own = op.v1.aligns or (op.v1.activation and index > 1)
  local list = has_own and self:exponents(name, "constant") or { self:exponent(node:output(1)) }
  if not list or not list[1] then return end
  local e = list[1]
  for _, other in ipairs(list) do e = math.max(e, other) end
  self:constant(node, index, { e }, self.bits)
end

local function is_operand(node, index)
  local input = node:input(index)
  if not input or not input.constant or input.dtype ~= "float32" then return false end
  return not (node.op_type == "Dropout" and index > 1) -- its ratio is no data
end

-- --- nodes --------------------------------------------------------------------------------------------------------

-- LeakyRelu(alpha) -> PRelu with the integer slope that the export writes; the tensors keep their names.
function Apply:leaky_relu(node)
  local e = self:exponents(self.alpha_names[node], "slope")
  if not e then return end
  local slope = assert(core.tensor_from({ node:attr "alpha" }, "float32"):quantize(e, self.bits))
  local value = self.graph:add_constant(nil, slope)
  value:set_quant(self.bits, e)
  local out, name = node:output(1), node.name
  local wanted, quant = out.name, out.quant
  local new = self.graph:add_node {
    op_type = "PRelu", name = name, inputs = { node:input(1), value }, outputs = 1, before = node,
  }
  new.column = "q"
  self.graph:replace(out, new:output(1))
  node:remove()
  if new:output(1).name ~= wanted then new:output(1):rename(wanted) end
  if quant then new:output(1):set_quant(quant.bits, quant.exponents) end
end

-- Moving integers keeps their scale: the tensors that a node takes for one must have one.
function Apply:check_one_scale(node)
  local exponents, list = {}, v1.one_scale(node) or {}
  for i, value in ipairs(list) do exponents[i] = self:exponent(value) end
  for i = 2, #list do
    if exponents[1] and exponents[i] and exponents[i] ~= exponents[1] then
      self:problem("'%s' has the exponent %d and '%s' %d, on the chip they are one; calibrate in mode \"chip\"",
        list[1].name, exponents[1], list[i].name, exponents[i])
    end
  end
end

function Apply:node(node)
  local op = core.op(node.op_type, node.domain)
  self.at = node
  self:check_one_scale(node)
  if node.op_type == "LeakyRelu" then return self:leaky_relu(node) end
  node.column = "q"
  if op.weight >= 0 then return self:weight_and_bias(node, op) end
  for i = 1, #node.inputs do
    if is_operand(node, i) then self:operand(node, i, op) end
  end
end

function Apply:activations()
  for _, input in ipairs(self.graph.inputs) do input:set_dtype(self.bits == 8 and "int8" or "int16") end
  for _, value in ipairs(self.graph:values()) do
    local is_used = value.is_output or value.is_input or value:use_count() > 0
    if not value.constant and is_used then
      self.at = value.producer or value:users()[1]
      local e = self:exponent(value)
      if e then value:set_quant(self.bits, { e }) end
    end
  end
end

--- Returns the quantized graph, or nil, message, code, problems (all of them at once).
return function(graph, qtable, options)
  local clone = graph:clone()
  local alpha_names = v1.alpha_names(clone, "chip") -- of the whole model, as in calibration
  clone:prune()
  local self = entries.new(Apply, graph, qtable, MAX_EXPONENT)
  self.graph, self.bits, self.per_channel = clone, options.bits, options.granularity == "per-channel"
  self.constants, self.alpha_names = {}, alpha_names
  self:activations()
  for _, node in ipairs(clone:node_list()) do self:node(node) end
  if #self.problems > 0 then
    local known = {}
    for _, name in pairs(alpha_names) do known[name] = true end
    self:strangers(graph, known)
  end
  if #self.problems > 0 then return nil, "the quantization table is not complete or of another model", "format",
      self.problems end
  clone.arithmetic = self.per_channel and "v1-channel" or "v1-tensor"
  clone.accumulator = options.accumulator or "exact"
  local ok, message, code = clone:infer_shapes()
  if not ok then return nil, message, code end
  clone:prune()
  return clone
end
