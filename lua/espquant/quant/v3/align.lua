--- Exponents that ESP-DL v3 aligns after calibration, node by node in the graph's order.
---
---     align.apply(graph, slots, widths, constants)
---
--- The inputs of Add, Sub, Sum, Concat, ScatterND and Resize take the exponent of the output. So does the producer of
--- an input where nothing else reads it, unless it is a passive node; elsewhere the edge has two exponents, between
--- which the chip converts. Comparisons take the coarsest exponent of their inputs likewise, and the hidden state of
--- GRU and LSTM that of their output.

local links = require "espquant.quant.v3.links"
local roles = require "espquant.quant.v3.roles"

local M = {}

local rule, root = roles.rule, links.root

-- Nothing else reads what makes the value, and it has an exponent of its own to give up.
local function may_follow(slots, value, bits)
  local producer, slot = value.producer, slots.output[value]
  if not slot or slot.bits ~= bits or producer and rule(producer).passive then return false end
  return roles.sole_consumer(producer and producer.outputs or { value }) ~= nil
end

local function align_to_output(slots, node, bits)
  local output = slots.output[node:output(1)]
  for _, value, role in roles.inputs(node) do
    if role == "data" and may_follow(slots, value, bits) then links.join(slots.output[value], output) end
  end
end

local function compare(slots, node, bits, constants)
  local coarsest = -math.huge
  for i in roles.inputs(node) do
    local slot, constant = slots.input[node][i], constants[node] and constants[node][i]
    coarsest = math.max(coarsest, slot and root(slot).exponent or constant.exponents[1])
  end
  for i, value in roles.inputs(node) do
    if value.constant then constants[node][i].exponents = { coarsest }
    elseif may_follow(slots, value, bits) then root(slots.output[value]).exponent = coarsest end
  end
end

local function align_hidden(slots, node)
  local y = node:output(1) and slots.output[node:output(1)]
  for i, value in ipairs(node.outputs) do
    if value and y and roles.output(node, i) == "hidden" then links.join(slots.output[value], y) end
  end
end

--- Aligns what the roots' exponents say; `constants` is node -> index -> constant (quant/v3/constants.lua).
function M.apply(graph, slots, widths, constants)
  for node in graph:nodes() do
    local bits = widths[node]
    if bits and rule(node).aligns then align_to_output(slots, node, bits) end
    if bits and rule(node).compares then compare(slots, node, bits, constants) end
    if bits then align_hidden(slots, node) end
  end
end

return M
