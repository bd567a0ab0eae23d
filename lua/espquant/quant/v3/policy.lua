--- Which exponent each tensor gets in ESP-DL v3: the defaults of esp-ppq, which options change.
---
---     local t = policy.build(graph, { bits = 8, target = "esp32p4", observer =, weight_observer =, layers = },
---       function(calibration_graph, roots, extra) ... end)
---
--- The graph is in the form that v3 quantizes (quant/v3/prepare.lua). Steps: widths of nodes; links between tensors
--- (quant/v3/links.lua); exponents of constants, by which these are rounded in the graph that is measured, while
--- activations and biases stay float; exponents of the roots; alignment; the kernels' limits; the table.
---
--- The table has one entry for each quantized tensor, that of its producer. A tensor that nodes of another width read
--- has `seams`: the exponent by width. One that is float where it is made has kind "float" and seams only.

local align = require "espquant.quant.v3.align"
local constants = require "espquant.quant.v3.constants"
local limits = require "espquant.quant.v3.limits"
local links = require "espquant.quant.v3.links"
local observe = require "espquant.quant.v3.observe"
local qtable = require "espquant.qtable"
local roles = require "espquant.quant.v3.roles"
local target = require "espquant.quant.v3.target"
local widths = require "espquant.quant.v3.widths"

local M = {}

local root = links.root

local Policy = {}
Policy.__index = Policy

-- nil, message, code, problems for a list of problems.
local function refusal(problems)
  if #problems == 1 then return nil, problems[1], "format" end
  return nil, ("%d tensors cannot be quantized"):format(#problems), "format", problems
end

-- --- measuring -------------------------------------------------------------------------------------------------------

-- What was asked for one of the slot's nodes.
function Policy:observer(slot)
  local wanted = self.options.observer
  for _, node in ipairs(slot.owners) do
    local own = self.settings[node] and self.settings[node].observer
    if own then
      wanted = own
      break
    end
  end
  return observe.of_activation(slot.bits, wanted)
end

-- The roots of all slots in the graph's order, each once, with the observer of each.
function Policy:collect_roots()
  local list, seen = {}, {}
  local function add(slot)
    slot = slot and root(slot)
    if not slot or seen[slot] or slot.fixed or slot.value.constant then return end
    seen[slot], slot.observer = true, self:observer(slot)
    list[#list + 1] = slot
  end
  for _, value in ipairs(self.graph.inputs) do add(self.slots.output[value]) end
  for node in self.graph:nodes() do
    for i in ipairs(self.widths[node] and node.inputs or {}) do add(self.slots.input[node][i]) end
    for _, value in ipairs(node.outputs) do add(self.slots.output[value]) end
  end
  return list
end

-- Tensors whose range is of interest besides: sums of products.
function Policy:sums()
  local names = {}
  for node in self.graph:nodes() do
    if self.widths[node] and roles.rule(node).shifts then names[#names + 1] = node:output(1).name end
  end
  return names
end

local function unmeasured(roots)
  local problems = {}
  for _, slot in ipairs(roots) do
    if math.type(slot.exponent) ~= "integer" then
      problems[#problems + 1] = ("'%s' becomes NaN or infinite on the calibration data"):format(slot.value.name)
    end
  end
  return problems
end

function Policy:measure(measure)
  local problems = constants.problems(self.graph, self.widths)
  if #problems > 0 then return refusal(problems) end
  local list = constants.measure(self.graph, self.widths, self.settings, self.target, self.options.weight_observer)
  self.constants = {}
  for _, constant in ipairs(list) do
    local of_node = self.constants[constant.node] or {}
    self.constants[constant.node], of_node[constant.index] = of_node, constant
  end
  local copy, message, code = self.graph:clone()
  if not copy then return nil, message, code end
  constants.fake_quantize(copy, list, self.target.rounding)
  self.roots = self:collect_roots()
  self.absmax, message, code = measure(copy, self.roots, self:sums())
  if not self.absmax then return nil, message, code end
  problems = unmeasured(self.roots)
  if #problems > 0 then return refusal(problems) end
  return true
end

-- --- the table -------------------------------------------------------------------------------------------------------

-- The exponents of a constant in the node's slot.
function Policy:slot_exponents(node, i, role)
  local constant = self.constants[node] and self.constants[node][i]
  if role == "cell" then return { roles.CELL_EXPONENT } end
  if role == "bound" then return { root(self.slots.input[node][1]).exponent } end
  local takes_output = role == "hidden" or role == "aligned" and not roles.rule(node).compares
  if takes_output then return { root(self.slots.output[node:output(1)]).exponent } end
  if role ~= "bias" then return constant.exponents end
  local list, e_in = {}, root(self.slots.input[node][1]).exponent
  for c, e in ipairs(self.constants[node][2].exponents) do list[c] = e_in + e end
  return list
end

-- Bits and kind of a constant's entry by its role.
function Policy:constant_form(node, role)
  local bits = self.widths[node]
  if role == "bias" then return self.target.bias_bits[bits], "bias" end
  return role == "cell" and 16 or bits, role == "weight" and "weight" or "constant"
end

function Policy:add_constants(node)
  for i, value, role in roles.inputs(node) do
    if value.constant then
      local bits, kind = self:constant_form(node, role)
      self.table:set(value.name, kind, self:slot_exponents(node, i, role)).bits = bits
    end
  end
end

-- The entry of a tensor where it is made, and how nodes of other widths read it.
function Policy:add_tensor(value, kind)
  local slot, seams = self.slots.output[value], self.slots.seams[value]
  if not slot and not seams then return end
  local entry = self.table:set(value.name, slot and kind or "float", slot and { root(slot).exponent } or {})
  entry.bits = slot and slot.bits
  for bits, seam in pairs(seams or {}) do
    entry.seams = entry.seams or {}
    entry.seams[bits] = root(seam).exponent
  end
end

function Policy:fill_table()
  for _, value in ipairs(self.graph.inputs) do self:add_tensor(value, "input") end
  for node in self.graph:nodes() do
    if self.widths[node] then self:add_constants(node) end
    for _, value in ipairs(node.outputs) do
      if value then self:add_tensor(value, "activation") end
    end
  end
end

--- Builds the table of a graph. measure(copy, roots, extra) observes a copy of the graph over the data, sets the roots'
--- exponents and returns name -> largest absolute value (quant/v3/observe.lua). Returns a qtable with `warnings`, or
--- nil, message, code[, problems].
function M.build(graph, options, measure)
  local self = setmetatable({ graph = graph, options = options, target = target.of(options.target) }, Policy)
  local message, code, problems, ok
  self.widths, self.settings, code, problems = widths.resolve(graph, options.bits, options.layers)
  if not self.widths then return nil, self.settings, code, problems end
  self.slots = links.build(graph, self.widths)
  ok, message, code, problems = self:measure(measure)
  if not ok then return nil, message, code, problems end
  align.apply(graph, self.slots, self.widths, self.constants)
  self.table = qtable.new {
    runtime = "v3", target = options.target, bits = options.bits, observer = options.observer,
    weight_observer = options.weight_observer, layers = widths.differing(graph, self.widths, options.bits),
  }
  self.warnings = {}
  self.table.warnings = self.warnings
  problems = limits.apply(self)
  if #problems > 0 then return refusal(problems) end
  self:fill_table()
  return self.table
end

return M
