--- From a float graph and a table of ESP-DL v3 to the integer graph: what the kernels run and the exporter reads.
---
---     local q, message, code, problems = apply(graph, table, { chip = "esp32p4", bits = 8 })
---
--- The graph is prepared first (quant/v3/prepare.lua). A tensor has one exponent, its producer's; where a node needs
--- another one, or another width, a node of the domain "esp" stands on the edge (quant/v3/seams.lua). Weights and
--- operands are integers at the exponents of their slots, biases at the sum of input and weight. A Relu that a Conv,
--- Gemm or MatMul takes along is its attribute `activation`; activations by table are esp.LUT. Nodes whose width is
--- float run in the float column. All that is wrong with the table is told at once.

local core = require "espquant.core"
local deviations = require "espquant.quant.v3.deviations"
local entries = require "espquant.quant.entries"
local lut = require "espquant.quant.v3.lut"
local prepare = require "espquant.quant.v3.prepare"
local seams = require "espquant.quant.v3.seams"
local slots = require "espquant.quant.v3.slots"
local target = require "espquant.quant.v3.target"

local Apply = setmetatable({}, slots)
Apply.__index = Apply

local MAX_EXPONENT = 30 -- kernels make scales by shifting a 32-bit 1

-- --- constants -------------------------------------------------------------------------------------------------------

-- Puts the quantized form of a constant into the node's input. A constant has one reader, since prepare sees to it.
local function set_constant(self, node, i, form, storage)
  local value = node:input(i)
  local tensor = value.constant
  local axis = #form.exponents > 1 and (form.axis or 0) or nil
  value:set_constant(assert(tensor:quantize(form.exponents, form.bits, axis, self.facts.rounding)))
  value:set_quant(storage or form.bits, form.exponents)
end

local function constants(self, node)
  for i, form in pairs(self.slots[node]) do
    if node:input(i).constant then
      set_constant(self, node, i, form, form.role == "bias" and (form.bits > 32 and 64 or 32) or nil)
    end
  end
end

-- --- activations -----------------------------------------------------------------------------------------------------

local FUSES = { Conv = true, Gemm = true, MatMul = true }

-- The Relu that alone reads what the node makes, in its width and at its exponent; nil where the tensor between them
-- must stay, since the graph returns it.
local function fused_relu(self, node)
  local out = node:output(1)
  local users = out:users()
  local relu = users[1]
  if #users ~= 1 or out.is_output or relu.op_type ~= "Relu" or relu.domain ~= "" then return nil end
  local a, b = self.forms[out], self.forms[relu:output(1)]
  return self.widths[relu] == self.widths[node] and a and b and a.exponents[1] == b.exponents[1] and relu or nil
end

local function fuse(self, node)
  local relu = FUSES[node.op_type] and fused_relu(self, node)
  if FUSES[node.op_type] then node:set_attr("activation", relu and "Relu" or "Linear") end
  if not relu then return end
  self.widths[relu] = nil
  seams.take_over(self.graph, relu, node)
end

-- What the function of a table needs of the node's constants, which are integers here; and as attributes for export.
local PARAMETERS = {}

function PARAMETERS.Clip(node)
  local parameters, attrs = { min = -math.huge, max = math.huge }, {}
  for i, name in ipairs { "min", "max" } do
    local value = node:input(i + 1)
    if value then
      attrs[name] = value.constant:item()
      parameters[name] = attrs[name] * 2.0 ^ value.quant.exponents[1]
    end
  end
  return parameters, attrs
end

function PARAMETERS.PRelu(node)
  local slope = node:input(2)
  local q, e = slope.constant:reshape({ -1 }):slice(1, 1):reshape({}):item(), slope.quant.exponents[1]
  return { slope = q * 2.0 ^ e }, { slope = q, slope_exponent = e }
end

-- Whether the chip looks the node's results up.
local function is_by_table(self, node)
  local op = core.op(node.op_type, node.domain)
  if not op or node.op_type == "Neg" or not lut.functions[node.op_type] then return false end
  if node.op_type == "PRelu" and node:input(2).constant.count > 1 then return false end
  return op.v3[self.widths[node] == 8 and "lut8" or "lut16"] or false
end

local function look_up(self, node)
  local bits, step = self.widths[node], self.options.int16_lut_step or lut.STEP
  local parameters, attrs = {}, {}
  if PARAMETERS[node.op_type] then parameters, attrs = PARAMETERS[node.op_type](node) end
  local x, out = node:input(1), node:output(1)
  local e_in, e_out = x.quant.exponents[1], self.forms[out].exponents[1]
  local values = lut.table(lut.functions[node.op_type](node, parameters), e_in, e_out, bits, self.facts.rounding, step)
  for name, attr in pairs(node:attrs()) do attrs[name] = attr end
  attrs.original_op_type = node.op_type
  if bits == 16 then attrs.int16_lut_step = step end
  local constant = self.graph:add_constant(nil, values)
  constant:set_quant(bits, e_out)
  local made = assert(self.graph:add_node { op_type = "LUT", domain = "esp", name = node.name, before = node,
    inputs = { x, constant }, attrs = attrs })
  made.column = "v3"
  seams.take_over(self.graph, node, made)
  made:output(1):set_quant(bits, e_out)
end

-- --- all -------------------------------------------------------------------------------------------------------------

local function set_forms(self)
  for value, form in pairs(self.forms) do
    if value.is_input then value:set_dtype(form.bits == 8 and "int8" or "int16") end
    value:set_quant(form.bits, form.exponents)
  end
end

local function rewrite(self)
  local nodes = self.graph:node_list()
  for _, node in ipairs(nodes) do
    if self.widths[node] then
      node.column = "v3"
      constants(self, node)
    end
  end
  set_forms(self)
  for _, node in ipairs(nodes) do seams.insert(self, node) end
  for _, node in ipairs(nodes) do
    if self.widths[node] then fuse(self, node) end
  end
  for _, node in ipairs(nodes) do
    local bits = node.alive and self.widths[node]
    if bits and is_by_table(self, node) then
      look_up(self, node)
    elseif bits and deviations.find(self.options.runtime_version, node.op_type, self.facts.group, bits) then
      deviations.settle(self, node)
    end
  end
end

--- The integer graph, or nil, message, code, problems. `options`: chip, bits (of nodes that the table does not name),
--- int16_lut_step (32), accumulator ("exact", or "lanes": sums saturate as on the esp32s3), and runtime_version: the
--- kernels of that ESP-DL, where they compute otherwise than its quantizer simulates (quant/v3/deviations.lua).
return function(graph, qtable, options)
  local prepared, message, code = prepare(graph)
  if not prepared then return nil, message, code end
  local self = entries.new(Apply, prepared, qtable, MAX_EXPONENT)
  self.graph, self.options, self.facts = prepared, options, target.of(options.chip)
  self:plan()
  self:strangers(prepared, {})
  if #self.problems > 0 then
    return nil, "the quantization table is not complete or of another model", "format", self.problems
  end
  rewrite(self)
  prepared.arithmetic = "v3-" .. self.facts.rounding
  prepared.accumulator = options.accumulator or "exact"
  local ok
  ok, message, code = prepared:infer_shapes()
  if not ok then return nil, message, code end
  prepared:prune()
  return prepared
end
