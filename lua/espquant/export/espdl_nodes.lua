--- Nodes of the device graph as nodes of the file: attributes, parameters, tables of activations.
---
---     local nodes = Nodes.new { chip = "esp32s3", runtime_version = "3.3.9" }
---     for _, node in ipairs(device.nodes) do nodes:add(node) end
---     -- nodes.list, nodes.initializers

local core = require "espquant.core"
local tensors = require "espquant.export.espdl_tensor"

local Nodes = {}
Nodes.__index = Nodes

-- --- attributes ----------------------------------------------------------------------------------------------------

local ATTRIBUTE = { FLOAT = 1, INT = 2, STRING = 3, TENSOR = 4, FLOATS = 6, INTS = 7, STRINGS = 8 }

local function attribute(name, value)
  local kind = math.type(value) or type(value)
  if kind == "integer" then return { name = name, attr_type = ATTRIBUTE.INT, i = value } end
  if kind == "float" then return { name = name, attr_type = ATTRIBUTE.FLOAT, f = value } end
  if kind == "string" then return { name = name, attr_type = ATTRIBUTE.STRING, s = value } end
  local first = math.type(value[1]) or type(value[1])
  if first == "float" then return { name = name, attr_type = ATTRIBUTE.FLOATS, floats = value } end
  if first == "string" then return { name = name, attr_type = ATTRIBUTE.STRINGS, strings = value } end
  return { name = name, attr_type = ATTRIBUTE.INTS, ints = value }
end

local function attributes(attrs)
  local names, list = {}, {}
  for name in pairs(attrs) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = attribute(name, attrs[name]) end
  return list
end

-- "S8", "S16" or "F32": the width of what the node makes; of what it reads where that is no integer.
local function quant_type(node)
  if node.op_type == "DequantizeLinear" or node.node and node.node.column == "f32" then return "F32" end
  for _, list in ipairs { node.outputs, node.inputs } do
    local value = list[1]
    local dtype = value and (value.dtype or value.constant.dtype)
    if dtype == "int8" then return "S8" elseif dtype == "int16" then return "S16" end
  end
  return "F32"
end

-- --- parameters ----------------------------------------------------------------------------------------------------

function Nodes:parameter(tensor)
  self.initializers[#self.initializers + 1] = tensor
  return tensor.name
end

-- A constant of the graph, once for all nodes that read it in the same order.
function Nodes:constant(input, made)
  local known = self.known[input.name]
  if not known then
    self.known[input.name] = { bytes = made.raw_data, name = self:parameter(made) }
    return made.name
  end
  if known.bytes == made.raw_data then return known.name end
  made.name = self:free_name(input.name)
  return self:parameter(made)
end

-- A name that nothing in the file has.
function Nodes:free_name(base)
  local name, number = base, 1
  while self.taken[name] do
    number = number + 1
    name = ("%s_%d"):format(base, number)
  end
  self.taken[name] = true
  return name
end

function Nodes:scalar(base, value, dtype, exponent)
  local quant = exponent and { exponents = { exponent } }
  return self:parameter(tensors.plain(self:free_name(base), core.tensor_from({ value }, dtype, {}), quant))
end

-- --- operators -----------------------------------------------------------------------------------------------------

local function plain_input(self, input)
  if not input then return "" end
  if not input.constant then return input.name end
  return self:constant(input, tensors.plain(input.name, input.constant, input.quant))
end

local function plain_inputs(self, node)
  local names = {}
  for i, input in ipairs(node.inputs) do names[i] = plain_input(self, input) end
  return names
end

-- Kinds of nodes: what to write as op_type, inputs and attributes; nil where it is as it stands.
local WRITE = {}

local function replace_weight(self, node, names, made)
  names[2] = self:constant(node.inputs[2], made)
end

function WRITE.Conv(self, node)
  local names, weight = {}, node.inputs[2]
  local grouped = node.attrs.group ~= 1
  names[1] = node.inputs[1].name
  replace_weight(self, node, names, tensors.filter(weight.name, weight.constant, weight.quant, self.chip, grouped))
  names[3] = node.inputs[3] and plain_input(self, node.inputs[3]) or nil
  return names
end

function WRITE.Gemm(self, node)
  local names, weight = {}, node.inputs[2]
  local axes = node.attrs.transB == 1 and "oi" or "io"
  names[1] = node.inputs[1].name
  replace_weight(self, node, names, tensors.gemm(weight.name, weight.constant, weight.quant, self.chip, axes))
  names[3] = node.inputs[3] and plain_input(self, node.inputs[3]) or nil
  node.attrs.transB = 0
  return names
end

function WRITE.MatMul(self, node)
  local names, b = { plain_input(self, node.inputs[1]) }, node.inputs[2]
  if b.constant and quant_type(node) ~= "F32" then
    replace_weight(self, node, names, tensors.matrices(b.name, b.constant, b.quant, self.chip))
  else
    names[2] = plain_input(self, b)
  end
  return names
end

-- The table, shared by nodes whose tables are the same.
local function table_name(self, node)
  local made = tensors.plain("", node.inputs[2].constant, node.inputs[2].quant)
  made.doc_string = nil
  local key = made.raw_data .. made.exponents[1]
  if not self.tables[key] then
    made.name = self:free_name(("%s_lut_%d"):format(node.attrs.original_op_type, #self.luts))
    self.luts[#self.luts + 1], self.tables[key] = made, made.name
  end
  return self.tables[key]
end

-- What the function read besides its input, as constants again.
local function restore_constants(self, node, names)
  local attrs, dtype = node.attrs, node.inputs[2].constant.dtype
  local exponent = node.inputs[1].quant.exponents[1]
  if attrs.original_op_type == "Clip" then
    local low, high = attrs.min, attrs.max
    local limit = dtype == "int8" and 127 or 32767
    names[2] = self:scalar(node.name .. "_min", low or -limit - 1, dtype, exponent)
    names[3] = self:scalar(node.name .. "_max", high or limit, dtype, exponent)
  elseif attrs.original_op_type == "PRelu" then
    local slope = core.tensor_from({ attrs.slope }, dtype, { 1, 1, 1 })
    names[2] = self:parameter(tensors.plain(self:free_name(node.name .. "_slope"), slope,
      { exponents = { attrs.slope_exponent } }))
  end
  attrs.min, attrs.max, attrs.slope, attrs.slope_exponent = nil, nil, nil, nil
end

function WRITE.LUT(self, node)
  local names, op_type = { node.inputs[1].name }, "LUT"
  restore_constants(self, node, names)
  node.attrs.lut = table_name(self, node)
  if node.inputs[2].constant.dtype == "int8" then
    op_type = node.attrs.original_op_type
    node.attrs.original_op_type, node.attrs.int16_lut_step = nil, nil
  end
  return names, op_type
end

-- The runtime reads scales and widths of the tensors; the inputs are there for the form.
local function seam(self, node)
  local from, to = node.inputs[1], node.outputs[1]
  local e_from, e_to = from.quant and from.quant.exponents[1] or 0, to.quant and to.quant.exponents[1] or 0
  if to.dtype == "float32" then e_from, e_to = e_to, e_from end
  local dtype = to.dtype == "float32" and from.dtype or to.dtype
  return { from.name, self:scalar(node.name .. "_scale", 2.0 ^ (e_to - e_from), "float32"),
    self:scalar(node.name .. "_zero", 0, dtype) }
end

WRITE.QuantizeLinear, WRITE.DequantizeLinear, WRITE.RequantizeLinear = seam, seam, seam

function WRITE.GRU(self, node)
  node.attrs.gate_exponent = -9
  return plain_inputs(self, node)
end

WRITE.LSTM = WRITE.GRU

--- Adds a node of the device graph.
function Nodes:add(node)
  local names, op_type = (WRITE[node.op_type] or plain_inputs)(self, node)
  node.attrs.quant_type = quant_type(node)
  local outputs = {}
  for i, output in ipairs(node.outputs) do outputs[i] = output and output.name or "" end
  while names[#names] == "" do names[#names] = nil end
  self.list[#self.list + 1] = { op_type = op_type or node.op_type, name = node.name, input = names, output = outputs,
    attribute = attributes(node.attrs) }
end

--- All parameters, the tables first.
function Nodes:parameters()
  local list = table.move(self.luts, 1, #self.luts, 1, {})
  return table.move(self.initializers, 1, #self.initializers, #list + 1, list)
end

--- options: chip, taken (a set of names).
function Nodes.new(options)
  return setmetatable({ chip = options.chip, taken = options.taken, list = {}, initializers = {}, luts = {},
    tables = {},
    known = {} }, Nodes)
end

return Nodes
