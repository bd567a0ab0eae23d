--- Which tensors share an exponent in ESP-DL v3: slots, joined to groups whose root is measured.
---
---     local slots = links.build(graph, widths)
---     slots.output[value]        -- the slot of a tensor where it is made: of a node's output or of a graph input
---     slots.input[node][i]       -- the slot of a node's input; aligned inputs have none
---     links.root(slot)           -- the slot whose exponent the group has
---
--- A slot is { value =, bits =, owners = {nodes}, above = slot or nil }. `owners` are the nodes whose settings count.
--- One that is `fixed` has its exponent from the start.
---
--- Rules, in order: (1) a computing node and its only consumer, a Relu or Clip, have the consumer's exponent; (2)
--- passive nodes (which move numbers) have that of their input 1; (3) any other node and its only consumer, a Relu or
--- Clip, as in 1; (4) an input that no rule linked has the exponent of its producer, where both have one width. Inputs
--- of another width than their producer are measured for themselves, those of one tensor and width as one.

local roles = require "espquant.quant.v3.roles"
local widths_of = require "espquant.quant.v3.widths"

local M = {}

local rule = roles.rule

--- The slot whose exponent this one has.
function M.root(slot)
  while slot.above do
    slot.above = slot.above.above or slot.above -- shorter the next time
    slot = slot.above
  end
  return slot
end

--- Puts a slot's whole group under another one's root.
function M.join(slot, under)
  local a, b = M.root(slot), M.root(under)
  if a ~= b then a.above = b end
end

-- --- slots -----------------------------------------------------------------------------------------------------------

local function add_inputs(slots, node, bits)
  local list = {}
  slots.input[node] = list
  if rule(node).aligns then return end
  for i, value, role in roles.inputs(node) do
    if role == "data" then list[i] = { value = value, bits = bits, owners = { node } } end
  end
end

local function add_outputs(slots, node, bits)
  for i, value in ipairs(node.outputs) do
    local kind = value and roles.output(node, i)
    if kind == "cell" then
      slots.output[value] = {
        value = value, bits = 16, owners = { node }, exponent = roles.CELL_EXPONENT, fixed = true,
      }
    elseif kind then
      slots.output[value] = { value = value, bits = bits, owners = { node } }
    end
  end
end

-- A graph input has the largest width that its consumers have; none where all of them are float.
local function add_graph_input(slots, value, widths)
  local bits, owner = 0, nil
  for _, consumer in ipairs(roles.consumers(value)) do
    local node, i = consumer[1], consumer[2]
    if (widths[node] or 0) > bits and roles.of(node, i) then bits, owner = widths[node], node end
  end
  if owner then slots.output[value] = { value = value, bits = bits, owners = { owner } } end
end

-- --- rules -----------------------------------------------------------------------------------------------------------

-- Rules 1 and 3: node, activation after it.
local function join_activation(slots, node)
  local activation = widths_of.fused_activation(node)
  local after = activation and slots.output[activation:output(1)]
  local before = after and slots.output[activation:input(1)]
  if not before or before.bits ~= after.bits then return end
  M.join(before, after)
  M.join(slots.input[activation][1], after)
  table.insert(after.owners, node)
end

-- Rule 2.
local function join_passive(slots, node)
  local input = slots.input[node][1]
  for _, value in ipairs(node.outputs) do
    if value and slots.output[value] and input then M.join(slots.output[value], input) end
  end
end

-- Rule 4.
local function join_producer(slots, node)
  for i in roles.inputs(node) do
    local slot = slots.input[node][i]
    local producer = slot and slots.output[slot.value]
    if slot and not slot.above and producer and producer.bits == slot.bits then M.join(slot, producer) end
  end
end

-- An input of another width than its producer: with the tensor's others of this width.
local function join_seams(slots, node)
  if rule(node).passive then return end
  for i, value in roles.inputs(node) do
    local slot = slots.input[node][i]
    if slot and not slot.above and not value.constant then
      local seams = slots.seams[value] or {}
      slots.seams[value] = seams
      if seams[slot.bits] then M.join(slot, seams[slot.bits]) else seams[slot.bits] = slot end
    end
  end
end

--- The slots of a graph whose nodes have these widths (quant/v3/widths.lua), linked by the rules. slots.seams[value] is
--- width -> slot for tensors that are read at another width.
function M.build(graph, widths)
  local slots = { output = {}, input = {}, seams = {} }
  for _, value in ipairs(graph.inputs) do
    if value.dtype == "float32" and not value.constant then add_graph_input(slots, value, widths) end
  end
  local nodes = {}
  for node in graph:nodes() do
    if widths[node] then nodes[#nodes + 1] = node end
  end
  for _, node in ipairs(nodes) do
    add_inputs(slots, node, widths[node])
    add_outputs(slots, node, widths[node])
  end
  local function each(matching, apply)
    for _, node in ipairs(nodes) do
      if matching(node) then apply(slots, node) end
    end
  end
  local function always() return true end
  each(function(node) return rule(node).computes end, join_activation)
  each(function(node) return rule(node).passive end, join_passive)
  each(function(node) return not rule(node).computes end, join_activation)
  each(always, join_producer)
  each(always, join_seams)
  return slots
end

return M
