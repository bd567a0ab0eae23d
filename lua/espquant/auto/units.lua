--- What a search may give int16: the layers of a prepared graph, each with what moves its numbers on.
---
---     for _, unit in ipairs(units.of(prepared)) do print(unit.name, #unit.nodes, unit.work) end
---
--- A unit is a node that computes, an activation that is fused to it, and the passive nodes behind, which would else
--- stand at a seam. `work`: multiply-accumulates and results for one image, what int16 costs about twice.

local roles = require "espquant.quant.v3.roles"
local size = require "espquant.size"
local widths = require "espquant.quant.v3.widths"

local M = {}

local NEVER = { Resize = true } -- the runtime has it in int8 only

local function elements(value)
  local n = 1
  for _, d in ipairs(value and value.shape or {}) do n = n * (math.type(d) == "integer" and d or 1) end
  return n
end

-- Appends the passive nodes that read what the node makes.
local function follow(unit, node, taken)
  for _, value in ipairs(node.outputs) do
    for _, user in ipairs(value and value:users() or {}) do
      if not taken[user] and roles.rule(user).passive and roles.rule(user).quantized and user:input(1) == value then
        taken[user] = true
        unit.nodes[#unit.nodes + 1] = user.name
        follow(unit, user, taken)
      end
    end
  end
end

local function unit_of(node, taken)
  local unit = { name = node.name, nodes = { node.name }, work = (size.macs(node) or 0) + elements(node:output(1)) }
  local last = node
  taken[node] = true
  local activation = widths.fused_activation(node)
  if activation then
    taken[activation], last = true, activation
    unit.nodes[2] = activation.name
  end
  follow(unit, last, taken)
  return unit
end

--- The units in the graph's order.
function M.of(graph)
  local list, taken = {}, {}
  for node in graph:nodes() do
    if roles.rule(node).quantized and not taken[node] and not NEVER[node.op_type] then
      list[#list + 1] = unit_of(node, taken)
    end
  end
  return list
end

return M
