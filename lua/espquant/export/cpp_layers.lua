--- From a model and a table to the objects of a coefficient file, which cpp_text.lua prints.
---
---     local layers = cpp_layers.new { table = qtable, names = names, chip = true, bits = 8, per_channel = false,
---                                     target = "esp32s3", log = print }
---     layers:collect(model)            -- fills layers.objects, and layers.called: node -> name of its objects
---     layers:info(model)               -- the lines of print_model_info
---     if #layers.problems > 0 then ... end
---
--- `is_program`: codegen writes constants of other layers, and weights in the runtime's order, so nobody is warned.
---
--- Every problem is one line with the node's name; all are found in one run.

local core = require "espquant.core"
local quant = require "espquant.quant"

local Layers = {}
Layers.__index = Layers

local M = {}

function M.new(options)
  local self = setmetatable({ objects = {}, problems = {}, called = {} }, Layers)
  for key, value in pairs(options) do self[key] = value end
  return self
end

-- Returns nothing, for `return self:problem(...)`.
function Layers:problem(text, ...)
  self.problems[#self.problems + 1] = text:format(...)
end

function Layers:warn(text, ...)
  self.log("warning: " .. text:format(...))
end

-- --- exponents and integers -----------------------------------------------------------------------------------------

-- What keeps an entry from giving `count` exponents that can be printed; on the chip an exponent is an int8_t, of which
-- -128 says that there are many.
local function entry_fault(entry, count, chip)
  if not entry then return "has no entry in the table" end
  if entry.kind == "shape" then return "is a shape, which has no exponent" end
  if not entry.exponents then return "has a scale that is no power of two" end
  if #entry.exponents ~= count then
    return ("has %d exponents in the table, expected %d"):format(#entry.exponents, count)
  end
  for _, e in ipairs(entry.exponents) do
    if math.type(e) ~= "integer" then return ("has a scale of 2^%s"):format(tostring(e)) end
    if chip and (e < -127 or e > 127) then return ("has the exponent %d, which is outside of -127..127"):format(e) end
  end
end

--- The exponents of a tensor, `count` of them, or nil after adding a problem. `label` names who needs them.
function Layers:exponents(label, name, what, count)
  local entry = self.table:get(name)
  local fault = entry_fault(entry, count, self.chip)
  if fault then return self:problem("%s: %s '%s' %s", label, what, name, fault) end
  return entry.exponents
end

-- A constant as integers, or nil after adding a problem.
function Layers:quantize(node, tensor, exponents, bits, axis)
  local q, message = tensor:quantize(exponents, bits, #exponents > 1 and axis or nil)
  if not q then return self:problem("%s: %s", node:label(), message) end
  return q
end

function Layers:add(class, bits, name, object)
  object.class, object.type, object.name = class, ("int%d_t"):format(bits), name
  self.objects[#self.objects + 1] = object
end

-- --- filters --------------------------------------------------------------------------------------------------------

-- How a weight of this shape lies in its operator: {axes=, grouped=, tail=, shape= in C++, dilations=}; nil: no filter.
local FORMS = {}

function FORMS.Conv(node, shape)
  if #shape ~= 4 and #shape ~= 3 then return end
  local o, i, grouped = shape[1], shape[2], node:attr("group", 1) ~= 1
  local h, w, dilations = #shape == 4 and shape[3] or 1, shape[#shape], node:attr "dilations" or {}
  return {
    axes = #shape == 4 and "oihw" or "oiw", grouped = grouped, tail = true,
    shape = grouped and { h, w, o, i } or { h, w, i, o },
    dilations = { #shape == 4 and dilations[1] or 1, dilations[#shape - 2] or 1 },
  }
end

local function matrix(axes, i, o)
  return { axes = axes, grouped = false, tail = false, shape = { 1, 1, i, o }, dilations = { 1, 1 } }
end

function FORMS.Gemm(node, shape)
  if #shape ~= 2 then return end
  if node:attr("transB", 0) ~= 0 then return matrix("oi", shape[2], shape[1]) end
  return matrix("io", shape[1], shape[2])
end

function FORMS.MatMul(_, shape)
  if #shape == 2 then return matrix("io", shape[1], shape[2]) end
end

-- The original knows no MatMul; on the chip it is a Gemm without bias.
function Layers:is_linear(node)
  return FORMS[node.op_type] and (self.chip or node.op_type ~= "MatMul")
end

-- What the original's export read without looking.
function Layers:check_attributes(node)
  if self.chip or node.op_type ~= "Conv" then return end
  for _, missing in ipairs { { "group", "operation" }, { "dilations", "dilation" } } do
    if not node:has_attr(missing[1]) then
      self:problem("%s has no attribute %s: local variable '%s' referenced before assignment", node:label(),
        table.unpack(missing))
    end
  end
end

function Layers:warn_of_groups(node, shape)
  local group = node.op_type == "Conv" and node:attr("group", 1) or 1
  if self.chip and group ~= 1 and (shape[2] ~= 1 or shape[1] ~= group) then
    self:warn("%s: ESP-DL v1 has no convolution of %d groups with %d input and %d output channels, only depthwise ones",
      node:label(), group, shape[2] * group, shape[1])
  end
end

-- The file keeps ONNX's order, as the original's does; a layer that reads an image which the runtime flattened meets
-- another one.
function Layers:warn_of_order(node)
  local reshape = node:input(1).producer
  local image = reshape and (reshape.op_type == "Flatten" or reshape.op_type == "Reshape") and reshape:input(1).shape
  if not image or #image ~= 4 or image[2] == 1 or image[3] == 1 and image[4] == 1 then return end
  self:warn("%s reads a flattened image: its weight is in ONNX's order C, H, W, the runtime's images are H, W, C; "
    .. "transpose the image before, or use codegen", node:label())
end

--- Adds the filter; returns its exponents, or nil after adding a problem.
function Layers:filter(node, name)
  local weight = node:input(2)
  if not weight or not weight.constant then return self:problem("%s: its weight is no constant", node:label()) end
  local constant = weight.constant
  local form = FORMS[node.op_type](node, constant.shape)
  if not form then
    return self:problem("%s: its weight '%s' has rank %d, no filter's", node:label(), weight.name, constant.rank)
  end
  self:warn_of_groups(node, constant.shape)
  if self.chip and not self.is_program and node.op_type ~= "Conv" then self:warn_of_order(node) end
  local axis = quant.v1.weight_axis(node)
  local e = self:exponents(node:label(), weight.name, "weight", self.per_channel and constant.shape[axis + 1] or 1)
  local q = e and self:quantize(node, constant, e, self.bits, axis)
  if not q then return end
  local dims = ("{%s}, {%s}"):format(table.concat(form.shape, ", "), table.concat(form.dilations, ", "))
  local layout = { axes = form.axes, target = self.target, grouped = form.grouped, tail = form.tail }
  self:add("Filter", self.bits, name .. "_filter", {
    elements = assert(core.pack_filter(q, layout)), exponents = self.per_channel and e or nil,
    arguments = self.per_channel and dims or ("%d, %s"):format(e[1], dims),
  })
  return e
end

-- --- biases ---------------------------------------------------------------------------------------------------------

-- The original reads the bias' entry. The chip adds the bias to the sum as it is, so its exponent follows from the
-- others; the entry of a bias that two nodes share is that of the last one only.
function Layers:bias_exponents(node, bias, e_weight)
  local label = node:label()
  if not self.chip then return self:exponents(label, bias.name, "bias", #e_weight) end
  if not self.per_channel then return self:exponents(label, node:output(1).name, "output", 1) end
  local e_in, list = self:exponents(label, node:input(1).name, "input", 1), {}
  if not e_in then return end
  for c, e in ipairs(e_weight) do list[c] = core.exponent_of_bias(e_in[1], e) end
  return list
end

-- One number per channel; a single number stands for all.
local function channel_values(constant, channels)
  if constant.count == channels then return constant:reshape { -1 } end
  if constant.count == 1 and constant.dtype == "float32" then
    return core.tensor { channels } + constant:reshape { 1 }
  end
end

function Layers:bias(node, name, e_weight)
  local bias = node:input(3)
  if not bias or self.chip and node.op_type == "Gemm" and node:attr("beta", 1) == 0 then return end
  if not bias.constant then return self:problem("%s: its bias is no constant", node:label()) end
  local channels = node:input(2).constant.shape[quant.v1.weight_axis(node) + 1]
  local values = channel_values(bias.constant, channels)
  if not values then
    return self:problem("%s: bias '%s' has %d numbers of type %s, expected %d of type float32", node:label(), bias.name,
      bias.constant.count, bias.dtype, channels)
  end
  local bits = self.per_channel and 16 or self.bits
  local e = self:bias_exponents(node, bias, e_weight)
  local q = e and self:quantize(node, values, e, bits, 0)
  if not q then return end
  self:add("Bias", bits, name .. "_bias", {
    elements = q, arguments = ("%d, {%d,}"):format(self.per_channel and -128 or e[1], channels),
  })
end

-- --- activations ----------------------------------------------------------------------------------------------------

local KINDS = { Relu = "ReLU", LeakyRelu = "LeakyReLU", PRelu = "PReLU" }

-- The slopes of an activation, and the name of their entry in the table.
local SLOPES = {}

function SLOPES.LeakyRelu(self, node)
  if not self.chip and not node:has_attr "alpha" then
    return self:problem("%s has no attribute alpha: local variable 'alpha' referenced before assignment", node:label())
  end
  return core.tensor_from({ node:attr("alpha", 0.01) }, "float32"), self.alpha_names[node]
end

function SLOPES.PRelu(self, node)
  local slope = node:input(2)
  if not slope.constant then return self:problem("%s: its slope is no constant", node:label()) end
  return slope.constant, slope.name
end

function Layers:activation(node, name)
  local kind, read = KINDS[node.op_type], SLOPES[node.op_type]
  if not read then return self:add("Activation", self.bits, name .. "_activation", { kind = kind }) end
  local slopes, entry = read(self, node)
  local e = slopes and self:exponents(node:label(), entry, "slope", 1)
  local q = e and self:quantize(node, slopes, e, self.bits)
  if not q then return end
  self:add("Activation", self.bits, name .. "_activation", {
    kind = kind, elements = q:reshape { -1 }, arguments = ("%d, {%d,}"):format(e[1], slopes.count),
  })
end

-- The Conv or Gemm whose only reader the activation is.
function Layers:owner(node)
  local producer = node:input(1).producer
  if producer and self:is_linear(producer) and #producer:output(1):users() == 1 then return producer end
end

-- --- the whole model ------------------------------------------------------------------------------------------------

-- Asked once for each layer that has a name of its own.
function Layers:name(node)
  if node.name == "" and not self.chip then
    self:problem("%s has no name: string index out of range", node:label())
  end
  return self.names:layer(node)
end

-- The simulation quantizes constants of other layers; the file has no object for them.
function Layers:warn_of_constants(node)
  for _, input in ipairs(node.inputs) do
    local entry = input and input.constant and self.table:get(input.name)
    if entry then
      self:warn("%s: its constant '%s' is not in the file; give it to the layer as a tensor of exponent %s",
        node:label(), input.name, tostring(entry.exponents and entry.exponents[1]))
    end
  end
end

function Layers:node(node)
  if self:is_linear(node) then
    local name = self:name(node)
    self.called[node] = name
    self:check_attributes(node)
    local e_weight = self:filter(node, name)
    if e_weight then self:bias(node, name, e_weight) end
  elseif KINDS[node.op_type] then
    local owner = self:owner(node)
    self.called[node] = owner and self.called[owner] or self:name(node)
    self:activation(node, self.called[node])
  elseif self.chip and not self.is_program then
    self:warn_of_constants(node)
  end
end

--- Adds the objects of all nodes, in graph order.
function Layers:collect(model)
  self.alpha_names = quant.v1.alpha_names(model, self.chip and "chip" or "original")
  for node in model:nodes() do self:node(node) end
end

--- The lines that describe the model's inputs and all layers but activations.
function Layers:info(model)
  local lines = { "", "Quantized model info:" }
  for _, input in ipairs(model.inputs) do
    local e = self:exponents("the model", input.name, "input", 1)
    lines[#lines + 1] = ("model input name: %s, exponent: %d"):format(input.name, e and e[1] or 0)
  end
  for node in model:nodes() do
    if not KINDS[node.op_type] then
      local depthwise = node.op_type == "Conv" and node:attr("group", 1) ~= 1
      local e = self:exponents(node:label(), node:output(1).name, "output", 1)
      lines[#lines + 1] = ("%s layer name: %s, output_exponent: %d"):format(
        depthwise and "DepthwiseConv" or node.op_type, node.name, e and e[1] or 0)
    end
  end
  lines[#lines + 1], lines[#lines + 2] = "", ""
  return lines
end

return M
