--- From a float graph and a table to the quantized graph: what the integer kernels run and exporters read.
---
---     local q = apply(graph, table, { bits = 8, granularity = "per-channel" })
---
--- Every activation carries its exponent, every constant that takes part in arithmetic is an integer tensor with its
--- exponents, every node is in its integer column. LeakyRelu becomes PRelu with one slope: one kernel serves both.
--- ESP-DL v1 has one width in the whole graph and tables whose tensors agree where an operator needs it, so no seam
--- nodes appear.

local core = require "espquant.core"
local v1 = require "espquant.quant.v1"

local Apply = {}
Apply.__index = Apply

-- Inputs (0-based index) whose constants are data; others (shapes, axes) stay as they are.
local OPERANDS = {
  Add = { 0, 1 }, Sub = { 0, 1 }, Mul = { 0, 1 }, PRelu = { 1 }, Pad = { 2 }, Expand = { 0 },
}

function Apply:problem(text, ...)
  self.problems[#self.problems + 1] = text:format(...)
end

function Apply:exponents(name, what)
  local entry = self.table:get(name)
  if not entry or entry.kind == "shape" then
    self:problem("the table has no exponent for %s '%s'", what, name)
  elseif not entry.exponents then
    self:problem("the scale of %s '%s' is no power of two, which the chip cannot do", what, name)
  else
    for _, e in ipairs(entry.exponents) do
      if e ~= math.floor(e) or math.abs(e) > 1000 then
        self:problem("%s '%s' has the exponent %s", what, name, tostring(e))
        return
      end
    end
    return entry.exponents
  end
end

-- Puts the quantized form of a constant into the node's input; shared with other nodes that need the same form.
function Apply:constant(node, index, exponents, bits, axis)
  local value = node:input(index)
  local key = ("%d|%d|%s|%s"):format(bits, axis or 0, table.concat(exponents, ","), value.name)
  local new = self.constants[key]
  if not new then
    local tensor = assert(value.constant:quantize(exponents, bits, axis))
    if value:use_count() == 1 then
      value:set_constant(tensor)
      new = value
    else
      new = self.graph:add_constant(nil, tensor)
    end
    new:set_quant(bits, exponents)
    self.constants[key] = new
  end
  if new ~= value then node:set_input(index, new) end
end

local function length(constant, axis)
  return constant.shape[axis + 1]
end

-- Exponents that are one, or one per entry of the axis; anything else is another model's table.
function Apply:fits(name, exponents, constant, axis)
  if #exponents == 1 or #exponents == length(constant, axis) then return true end
  self:problem("the table has %d exponents for '%s', which has %d channels", #exponents, name, length(constant, axis))
end

function Apply:weight_and_bias(node, op)
  local weight = node:input(op.weight + 1)
  local axis = v1.weight_axis(node)
  local e_w = self:exponents(weight.name, "weight")
  if e_w and self:fits(weight.name, e_w, weight.constant, axis) then
    self:constant(node, op.weight + 1, e_w, self.bits, #e_w > 1 and axis or nil)
  else
    e_w = nil
  end
  local bias = op.bias >= 0 and node:input(op.bias + 1)
  if not bias or not e_w then return end
  if self.per_channel then self:channel_bias(node, op.bias + 1, bias, e_w) else self:tensor_bias(node, op.bias + 1) end
end

-- The bias exponents follow from those of input, weight and output: the entry of a bias that two nodes share is that of
-- the last one only.
function Apply:tensor_bias(node, index)
  local e_out = self:exponents(node:output(1).name, "tensor")
  if e_out then self:constant(node, index, e_out, self.bits) end
end

function Apply:channel_bias(node, index, bias, e_w)
  local e_in = self:exponents(node:input(1).name, "tensor")
  if not e_in then return end
  local list = {}
  for c = 1, #e_w do list[c] = core.exponent_of_bias(e_in[1], e_w[c]) end
  self:constant(node, index, list, 16, #list > 1 and bias.constant.rank - 1 or nil)
end

-- LeakyRelu(alpha) -> PRelu with the integer slope that the export writes.
function Apply:leaky_relu(node)
  local e = self:exponents(node.name .. "_alpha", "slope")
  if not e then return end
  local slope = core.tensor_from({ node:attr "alpha" }, "float32")
  local value = self.graph:add_constant(nil, assert(slope:quantize(e, self.bits)))
  value:set_quant(self.bits, e)
  local out, name = node:output(1), node.name
  local new = self.graph:add_node {
    op_type = "PRelu", name = name, inputs = { node:input(1), value }, outputs = 1, before = node,
  }
  new.column = "q"
  self.graph:replace(out, new:output(1))
  if out.alive then
    local wanted = out.name
    node:remove()
    if new:output(1).name ~= wanted then new:output(1):rename(wanted) end
  end
end

function Apply:operands(node)
  local indexes = OPERANDS[node.op_type]
  if node.op_type == "Max" or node.op_type == "Min" or node.op_type == "Concat" then
    indexes = {}
    for i = 1, #node.inputs do indexes[i] = i - 1 end
  end
  for _, i in ipairs(indexes or {}) do
    local input = node:input(i + 1)
    if input and input.constant and input.dtype == "float32" then
      local e = node.op_type == "Pad" and self:exponents(node:input(1).name, "tensor")
        or self:exponents(input.name, "constant")
      if e then self:constant(node, i + 1, e, self.bits) end
    end
  end
end

function Apply:node(node)
  local op = core.op(node.op_type, node.domain)
  if node.op_type == "LeakyRelu" then return self:leaky_relu(node) end
  node.column = "q"
  if op.weight >= 0 then self:weight_and_bias(node, op) else self:operands(node) end
end

function Apply:activations()
  for _, input in ipairs(self.graph.inputs) do input:set_dtype(self.bits == 8 and "int8" or "int16") end
  for _, value in ipairs(self.graph:values()) do
    if not value.constant and value.alive then
      local e = self:exponents(value.name, "tensor")
      if e then value:set_quant(self.bits, { e[1] }) end
    end
  end
end

--- Returns the quantized graph, or nil, message, code, problems (all of them at once).
return function(graph, qtable, options)
  local clone = graph:clone()
  local self = setmetatable({
    graph = clone, table = qtable, bits = options.bits, per_channel = options.granularity == "per-channel",
    problems = {}, constants = {},
  }, Apply)
  self:activations()
  for _, node in ipairs(clone:node_list()) do self:node(node) end
  if #self.problems == 0 then
    for _, value in ipairs(clone:values()) do
      if not value.constant and not value.quant then
        local e = self:exponents(value.name, "tensor")
        if e then value:set_quant(self.bits, { e[1] }) end
      end
    end
  end
  if #self.problems > 0 then
    return nil, ("the quantization table does not fit the model: %s"):format(table.concat(self.problems, "; ")), "format",
      self.problems
  end
  clone.arithmetic = self.per_channel and "v1-channel" or "v1-tensor"
  local ok, message, code = clone:infer_shapes()
  if not ok then return nil, message, code end
  clone:prune()
  return clone
end
