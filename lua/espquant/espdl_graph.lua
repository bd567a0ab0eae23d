--- From an .espdl file back to a graph that the simulation runs: what a chip computes of the file itself.
---
---     local graph, message, code, problems = espdl_graph.read(entry)      -- of espquant.espdl.load
---
--- Tensors keep the shapes that they have on the chip. Operators on images get Transposes around them, filters their
--- ONNX order. The rounding is that of the chip, which the file does not name: filters with an exponent for each
--- channel are the P4's; `read` takes the chip where the user tells it.

local core = require "espquant.core"
local errors = require "espquant.errors"
local filters = require "espquant.espdl_filters"
local operand = require "espquant.espdl_operand"
local tensors = require "espquant.espdl_tensors"

local M = {}

local OPSET = 24 -- of the forms in which the runtime has ONNX's operators
local MAX_EXPONENT = 64

local Reader = {}
Reader.__index = Reader

function Reader:problem(text, ...) self.problems[#self.problems + 1] = text:format(...) end

-- --- tensors -------------------------------------------------------------------------------------------------------

function Reader:exponents(list, name)
  for _, e in ipairs(list or {}) do
    if math.abs(e) > MAX_EXPONENT then
      self:problem("'%s' has the exponent %d, expected at most %d in size", name, e, MAX_EXPONENT)
      return nil
    end
  end
  return list and #list > 0 and list or { 0 }
end

function Reader:read_values()
  for _, info in ipairs(self.source.value_info or {}) do
    local type = info.value_info_type and info.value_info_type.value or {}
    local shape = {}
    for k, d in ipairs(type.shape and type.shape.dim or {}) do shape[k] = d.value and d.value.dim_value or 0 end
    self.infos[info.name or ""] = { dtype = tensors.dtype(type.elem_type), shape = shape,
      exponents = self:exponents(info.exponents, info.name or "") }
  end
  for _, t in ipairs(self.source.initializer or {}) do
    local tensor, why = tensors.read(t)
    if not tensor then self:problem("%s", why)
    else
      self.constants[t.name or ""] = { tensor = tensor, dims = t.dims or {}, raw = t.raw_data or "",
        exponents = self:exponents(t.exponents, t.name or "") }
    end
  end
end

local function set_quant(value, dtype, exponents)
  if (dtype == "int8" or dtype == "int16") and exponents then value:set_quant(tensors.bits(dtype), { exponents[1] }) end
end

function Reader:read_inputs()
  for _, info in ipairs(self.source.input or {}) do
    local name = info.name or ""
    local known = self.infos[name]
    if not known or not known.dtype or not tensors.count(known.shape) then
      self:problem("input '%s' has no type or shape in value_info", name)
    elseif self.values[name] then
      self:problem("two inputs are named '%s'", name)
    else
      local value = self.graph:add_input(name, known.dtype, known.shape)
      set_quant(value, known.dtype, known.exponents)
      self.values[name] = value
    end
  end
end

-- --- nodes ---------------------------------------------------------------------------------------------------------

local function attributes_of(node)
  local attrs = {}
  for _, a in ipairs(node.attribute or {}) do
    local kind = a.attr_type or 0
    if kind == 1 then attrs[a.name or ""] = (a.f or 0) + 0.0
    elseif kind == 2 then attrs[a.name or ""] = a.i or 0
    elseif kind == 3 then attrs[a.name or ""] = a.s or ""
    elseif kind == 6 then attrs[a.name or ""] = a.floats or {}
    elseif kind == 7 then attrs[a.name or ""] = a.ints or {} end
  end
  return attrs
end

-- A name for what the file has no name for.
function Reader:fresh_name()
  self.fresh = (self.fresh or 0) + 1
  local name = "/" .. self.fresh
  return (self.infos[name] or self.constants[name]) and self:fresh_name() or name
end

-- The constant `name` as a value of the graph; `tensor` in place of what the file has.
function Reader:constant(name, tensor, axis_count)
  local c = self.constants[name]
  local value = self.graph:add_constant(self:fresh_name(), tensor or c.tensor)
  local bits = tensors.bits((tensor or c.tensor).dtype)
  if c.exponents and (bits == 8 or bits == 16 or axis_count) then value:set_quant(bits, c.exponents) end
  return value
end

function Reader:input(name, node)
  if name == nil or name == "" then return nil end
  if self.values[name] then return self.values[name] end
  if self.constants[name] then return self:constant(name) end
  self:problem("%s '%s' reads '%s', which nothing makes before it", node.op_type or "", node.name or "", name)
end

function Reader:inputs(node)
  local list = {}
  for i, name in ipairs(node.input or {}) do list[i] = self:input(name, node) or false end
  return list
end

local IMAGES = { [3] = { 0, 2, 1 }, [4] = { 0, 3, 1, 2 } } -- to channels first
local BACK = { [3] = { 0, 2, 1 }, [4] = { 0, 2, 3, 1 } }

function Reader:add(op_type, domain, inputs, outputs, attrs, name)
  local node, message = self.graph:add_node { op_type = op_type, domain = domain, name = name, inputs = inputs,
    outputs = outputs == 1 and { self:fresh_name() } or outputs, attrs = attrs }
  if not node then error(message, 0) end
  node.column = self.column
  return node
end

-- A Transpose between the file's order and ONNX's; its result has the input's exponent.
function Reader:turn(value, perms, out)
  local rank = value.shape and #value.shape
  if not perms[rank] then return value end
  local node = self:add("Transpose", "", { value }, { out or self:fresh_name() }, { perm = perms[rank] })
  if value.quant then node:output(1):set_quant(value.quant.bits, value.quant.exponents) end
  assert(self.graph:infer_shapes())
  return node:output(1)
end

local function define(self, name, value)
  if self.values[name] then self:problem("'%s' is made twice", name) end
  self.values[name] = value
  local info = self.infos[name]
  if info then set_quant(value, info.dtype, info.exponents) end
end

-- Operators that are not those of ONNX: op_type -> how the node is written.
local READ = {}

local function seam(self, node, inputs, _)
  return self:add(node.op_type, "esp", { inputs[1] }, { node.output[1] }, {}, node.name)
end

READ.QuantizeLinear, READ.DequantizeLinear, READ.RequantizeLinear = seam, seam, seam

function READ.SpaceToDepth(self, node, inputs, attrs)
  return self:add("SpaceToDepth", "esp", { inputs[1] }, 1, attrs, node.name)
end

function READ.InsertZeros(self, node, inputs, attrs)
  return self:add("InsertZeros", "esp", { inputs[1] }, 1, attrs, node.name)
end

function READ.Gemm(self, node, inputs, attrs)
  local weight = self.constants[node.input[2]]
  if not weight then return nil, "its weight is no parameter" end
  local tensor, why = filters.gemm(weight, self.blocked)
  if not tensor then return nil, why end
  attrs.transB, attrs.alpha, attrs.beta = 1, nil, nil
  return self:add("Gemm", "", { inputs[1], self:constant(node.input[2], tensor, 1), self:bias(node) },
    { node.output[1] }, attrs, node.name)
end

function READ.Conv(self, node, inputs, attrs)
  local weight = self.constants[node.input[2]]
  if not weight then return nil, "its filter is no parameter" end
  local tensor, why = filters.conv(weight, self.blocked, attrs.group or 1)
  if not tensor then return nil, why end
  return self:add("Conv", "", { inputs[1], self:constant(node.input[2], tensor, 1), self:bias(node) }, 1, attrs,
    node.name)
end

-- A node of ours in front of another: its result is quantized as its first input is.
function Reader:add_before(op_type, inputs, attrs)
  local list = {}
  for i, x in ipairs(inputs) do
    list[i] = type(x) == "table" and self.graph:add_constant(nil, core.tensor_from(x, "int64")) or x
  end
  local made, quant = self:add(op_type, "", list, 1, attrs or {}):output(1), inputs[1].quant
  if quant then made:set_quant(quant.bits, quant.exponents) end
  assert(self.graph:infer_shapes())
  return made
end

function READ.MatMul(self, node, inputs, attrs)
  local b, packed = self.constants[node.input[2]], attrs.input1_layout ~= "native_kn"
  attrs.input1_layout = nil
  if b then
    local tensor, why = filters.matrices(b, self.blocked)
    if not tensor then return nil, why end
    inputs[2] = self:constant(node.input[2], tensor, 1)
  elseif packed and inputs[2].quant then
    inputs[2] = operand.unpack(function(...) return self:add_before(...) end, inputs[2], self.blocked)
  end
  return self:add("MatMul", "", inputs, { node.output[1] }, attrs, node.name)
end

function Reader:bias(node)
  local name = node.input[3]
  if not name or name == "" or not self.constants[name] then return nil end
  return self:constant(name, nil, 1)
end

-- A table in place of the function.
function Reader:look_up(node, inputs, attrs, table_name)
  local entry = self.constants[table_name]
  if not entry then return nil, ("its table '%s' is no parameter"):format(table_name) end
  return self:add("LUT", "esp", { inputs[1], self:constant(table_name) }, { node.output[1] },
    { original_op_type = attrs.original_op_type or node.op_type }, node.name)
end

local function is_image_operator(op_type)
  local op = core.op(op_type) or core.op(op_type, "esp")
  return op and op.v3_layout == "nhwc" or op_type == "PRelu"
end

-- In ONNX's order; the result in the file's.
function Reader:add_image_node(node, inputs, attrs)
  inputs[1] = self:turn(inputs[1], IMAGES)
  local made, why
  if READ[node.op_type] then made, why = READ[node.op_type](self, node, inputs, attrs)
  else made = self:add(node.op_type, node.op_type == "PRelu" and self.kernels or "", inputs, 1, attrs, node.name) end
  if not made then return nil, why end
  local info = self.infos[node.output[1]]
  if info then set_quant(made:output(1), info.dtype, info.exponents) end
  assert(self.graph:infer_shapes())
  return self:turn(made:output(1), BACK, node.output[1])
end

function Reader:add_node(node)
  local inputs, attrs = self:inputs(node), attributes_of(node)
  local lut, is_float = attrs.lut, attrs.quant_type == "F32" and not READ[node.op_type]
  self.column = is_float and "f32" or "v3"
  attrs.quant_type, attrs.lut, attrs.int16_lut_step, attrs.gate_exponent = nil, nil, nil, nil
  local made, why
  if lut and (node.op_type == "LUT" or node.op_type == "Gelu" or self:is_narrow(node)) then
    made, why = self:look_up(node, inputs, attrs, lut)
  elseif is_image_operator(node.op_type) and inputs[1] then
    local value
    value, why = self:add_image_node(node, inputs, attrs)
    if value then return define(self, node.output[1], value) end
  elseif READ[node.op_type] then
    made, why = READ[node.op_type](self, node, inputs, attrs)
  else
    made = self:add(node.op_type, "", inputs, node.output, attrs, node.name)
  end
  if not made then return self:problem("%s '%s': %s", node.op_type, node.name or "", why) end
  for i, name in ipairs(node.output) do
    if name ~= "" then define(self, name, made:output(i)) end
  end
end

-- Whether the node makes int8: those look tables up.
function Reader:is_narrow(node)
  local info = self.infos[node.output[1]]
  return info and info.dtype == "int8" and node.op_type ~= "Neg"
end

function Reader:read_nodes()
  for i, node in ipairs(self.source.node or {}) do
    if not (node.op_type and node.output and (node.output[1] or "") ~= "") then
      self:problem("node %d has no operator or no output", i)
    else
      local ok, why = errors.pcall(self.add_node, self, node)
      if not ok then self:problem("%s '%s': %s", node.op_type, node.name or "", tostring(why)) end
      ok, why = self.graph:infer_shapes()
      if not ok then self:problem("%s '%s': %s", node.op_type, node.name or "", why) end
    end
    if #self.problems > 0 then return end -- what follows reads what is not there
  end
end

-- --- interface -----------------------------------------------------------------------------------------------------

local function has_channels(graph)
  for _, t in ipairs(graph.initializer or {}) do
    if t.exponents and #t.exponents > 1 then return true end
  end
  return false
end

-- Blocked filters are named so; a file without filters does not tell.
local function is_blocked(graph)
  for _, t in ipairs(graph.initializer or {}) do
    local layout = (t.doc_string or ""):match "layout ==> (.+)"
    if layout and layout:match "%d" then return true end
  end
  return false
end

-- What the chip does, or what the file tells of it: rounding, and whether filters are blocked.
local function facts_of(graph, chip)
  for _, t in ipairs(core.targets()) do
    if t.runtime == "v3" and t.chip == chip then return t.rounding, t.order == "blocked" end
  end
  return has_channels(graph) and "half-even" or "half-up", is_blocked(graph)
end

--- The graph of a model, or nil, message, code, problems. `chip` (optional) tells how to round.
function M.read(entry, chip)
  if entry.encrypted then return nil, "the model is encrypted", "unsupported" end
  local source = entry.model.graph or {}
  local self = setmetatable({ source = source, problems = {}, values = {}, constants = {}, infos = {},
    graph = core.graph { name = "espdl", opset = OPSET } }, Reader)
  local rounding
  rounding, self.blocked = facts_of(source, chip)
  self.graph.arithmetic = "v3-" .. rounding
  for _, p in ipairs(entry.model.metadata_props or {}) do -- kernels that floor: quant/v3/deviations.lua
    if p.key == "runtime_version" then self.kernels = "esp" end
  end
  self:read_values()
  self:read_inputs()
  if #self.problems == 0 then self:read_nodes() end
  for _, info in ipairs(#self.problems == 0 and source.output or {}) do
    local value = self.values[info.name or ""]
    if value then self.graph:add_output(value) else self:problem("nothing makes the output '%s'", info.name or "") end
  end
  if #self.problems > 0 then
    return nil, "the model cannot be simulated: " .. self.problems[1], "unsupported", self.problems
  end
  return self.graph
end

return M
