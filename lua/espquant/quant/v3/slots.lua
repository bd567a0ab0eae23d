--- Which integers the tensors of a prepared graph are, and as which integers each node reads them: what apply carries
--- out.
---
---     self:plan()
---     self.widths[node]      -- 8, 16; nil: float
---     self.forms[value]      -- { bits =, exponents = {e} } of a tensor where it is made; nil: float, or no quantity
---     self.slots[node][i]    -- the same for input i of the node, with role, and axis for weights
---
--- A slot has its producer's form where the widths agree; passive nodes (which move numbers) and those that align their
--- inputs read at the exponent of their output, comparisons at the coarsest of their inputs.

local entries = require "espquant.quant.entries"
local roles = require "espquant.quant.v3.roles"

local Slots = setmetatable({}, entries)
Slots.__index = Slots

local rule = roles.rule
local WIDTHS = { int8 = 8, int16 = 16 }

-- --- widths and forms ------------------------------------------------------------------------------------------------

local function plan_widths(self)
  local layers, known = self.table.facts.layers or {}, {}
  for node in self.graph:nodes() do
    local own = layers[node.name]
    known[node.name] = true
    local bits = WIDTHS[own] or not own and (self.table.facts.bits or self.options.bits)
    self.widths[node] = rule(node).quantized and bits or nil
  end
  for name in pairs(layers) do
    if not known[name] then self:problem("the table has the layer '%s', which is no node of the model", name) end
  end
end

local function form_of_entry(self, value, bits)
  local entry = self.table:get(value.name)
  if entry and entry.kind == "float" then
    self:problem("the table has '%s' as float, the model as int%d; calibrate again", value.name, bits)
    self.unknown[value] = true
    return nil
  end
  local e = self:exponent(value)
  if e and entry.bits and entry.bits ~= bits then
    self:problem("the table has '%s' as int%d, the model as int%d; calibrate again", value.name, entry.bits, bits)
  end
  self.unknown[value] = not e
  return e and { bits = bits, exponents = { e } } or nil
end

local function plan_inputs(self)
  for _, value in ipairs(self.graph.inputs) do
    local entry = self.table:get(value.name)
    local is_read = false
    for _, consumer in ipairs(roles.consumers(value)) do
      is_read = is_read or self.widths[consumer[1]] and roles.of(consumer[1], consumer[2])
    end
    self.at = value:users()[1]
    local bits = entry and entry.bits or self.table.facts.bits or self.options.bits
    if is_read and bits ~= 8 and bits ~= 16 then
      self:problem("the input '%s' is of %s bits in the table, expected 8 or 16; calibrate again", value.name, bits)
      self.unknown[value] = true
    elseif is_read and (not entry or entry.kind ~= "float") then
      self.forms[value] = form_of_entry(self, value, bits)
    end
  end
end

local function plan_outputs(self, node)
  local bits = self.widths[node]
  for i, value in ipairs(bits and node.outputs or {}) do
    local kind = value and roles.output(node, i)
    if kind == "cell" then self.forms[value] = { bits = 16, exponents = { roles.CELL_EXPONENT } }
    elseif kind then self.forms[value] = form_of_entry(self, value, bits) end
  end
end

-- --- slots -----------------------------------------------------------------------------------------------------------

-- A tensor as it is read at another width than it is made.
local function seam(self, value, bits)
  local entry = self.table:get(value.name)
  local e = entry and entry.seams and entry.seams[bits]
  if not e then
    self:problem("the table does not tell how '%s' is read as int%d; calibrate again", value.name, bits)
  elseif self:are_exponents({ e }, value.name, "tensor") then
    return { bits = bits, exponents = { e } }
  end
end

local function own_form(self, node, value)
  local form, bits = self.forms[value], self.widths[node]
  if form and form.bits == bits then return form end
  return not self.unknown[value] and seam(self, value, bits) or nil
end

local function output_form(self, node)
  local form = self.forms[node:output(1)]
  return form and { bits = self.widths[node], exponents = form.exponents }
end

-- The coarsest exponent of what a comparison reads.
local function compared_form(self, node)
  local most
  for _, value, role in roles.inputs(node) do
    local list
    if role == "data" then
      local form = own_form(self, node, value)
      list = form and form.exponents
    else
      list = self:exponents(value.name, "constant")
    end
    if not list or not list[1] then return nil end
    most = math.max(most or list[1], table.unpack(list))
  end
  return most and { bits = self.widths[node], exponents = { most } }
end

local function weight_form(self, node, value)
  local axis = roles.weight_axis(node)
  local list = self:exponents(value.name, "weight")
  local expected = self.facts.per_channel and value.constant.shape[axis + 1] or 1
  if not list then return nil end
  if #list ~= expected then
    self:problem("the table has %d exponents for weight '%s', expected %d for %s; calibrate for this chip", #list,
      value.name, expected, self.facts.chip)
    return nil
  end
  return { bits = self.widths[node], exponents = list, axis = axis }
end

local function bias_form(self, node, value)
  local input, weight = self.slots[node][1], self.slots[node][2]
  if not input or not weight then return nil end
  local list, entry = {}, self.table:get(value.name)
  for c, e in ipairs(weight.exponents) do
    list[c] = input.exponents[1] + e
    local told = entry and entry.exponents and entry.exponents[c]
    if entry and told ~= list[c] then
      self:problem("the bias '%s' has the exponent %s, its input and weight %d; calibrate again", value.name,
        tostring(told), list[c])
      return nil
    end
  end
  return { bits = self.facts.bias_bits[self.widths[node]], exponents = list }
end

local function constant_form(self, node, value)
  local list = self:exponents(value.name, "constant")
  if not list then return nil end
  if #list > 1 then
    self:problem("the table has %d exponents for '%s', expected one; calibrate again", #list, value.name)
    return nil
  end
  return { bits = self.widths[node], exponents = list }
end

-- Neg is computed on the integers alone, so that its input has its output's exponent.
local function reads_as_output(node)
  return rule(node).passive or rule(node).aligns or node.op_type == "Neg"
end

local FORMS = { weight = weight_form, bias = bias_form, constant = constant_form }

function FORMS.data(self, node, value)
  if rule(node).compares then return compared_form(self, node) end
  return reads_as_output(node) and output_form(self, node) or not reads_as_output(node) and own_form(self, node, value)
    or nil
end

function FORMS.aligned(self, node)
  return rule(node).compares and compared_form(self, node) or not rule(node).compares and output_form(self, node) or nil
end

function FORMS.bound(self, node)
  local input = self.slots[node][1]
  return input and { bits = input.bits, exponents = input.exponents }
end

FORMS.hidden = output_form

function FORMS.cell() return { bits = 16, exponents = { roles.CELL_EXPONENT } } end

local function plan_slots(self, node)
  self.slots[node] = {}
  for i, value, role in roles.inputs(node) do
    local form = FORMS[role](self, node, value)
    if form then
      self.slots[node][i] = { bits = form.bits, exponents = form.exponents, axis = form.axis, role = role }
    end
  end
end

-- --- what kernels demand ---------------------------------------------------------------------------------------------

-- Outputs of one passive node have one exponent; so have a GRU's.
local function check_outputs(self, node)
  local first
  for i, value in ipairs(node.outputs) do
    local form = value and roles.output(node, i) ~= "cell" and self.forms[value]
    if form and first and form.exponents[1] ~= self.forms[first].exponents[1] then
      self:problem("'%s' has the exponent %d and '%s' %d, on the chip they are one; calibrate again", first.name,
        self.forms[first].exponents[1], value.name, form.exponents[1])
    end
    first = first or form and value
  end
end

local function check_shift(self, node)
  local a, b, out = self.slots[node][1], self.slots[node][2], self.forms[node:output(1)]
  if not rule(node).shifts or not a or not b or not out then return end
  local product = a.exponents[1] + math.max(table.unpack(b.exponents))
  if out.exponents[1] < product then
    self:problem("its output has the exponent %d, below %d of its product: the chip shifts to the right only; "
      .. "calibrate again", out.exponents[1], product)
  end
end

--- Fills widths, forms and slots of the prepared graph; what is wrong is in `problems`.
function Slots:plan()
  self.widths, self.forms, self.slots, self.unknown = {}, {}, {}, {} -- unknown: told as a problem already
  plan_widths(self)
  plan_inputs(self)
  for node in self.graph:nodes() do
    self.at = node
    plan_outputs(self, node)
  end
  for node in self.graph:nodes() do
    self.at = node
    if self.widths[node] then
      plan_slots(self, node)
      check_outputs(self, node)
      check_shift(self, node)
    end
  end
  self.at = nil
end

return Slots
