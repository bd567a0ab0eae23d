--- What one should know of a model that can be quantized: operators whose integers no chip has confirmed.
---
---     for _, note in ipairs(notes(graph, "chip")) do print(note.message) end
---
--- A list of `{op=, nodes={names}, message=}`, one for each operator type, in order of first appearance; an empty one
--- for mode "original", whose figures are the original's. `docs/original.md` says what is computed.

local core = require "espquant.core"

local SHOWN = 3 -- nodes that a message names

local function message(note)
  local shown = table.move(note.nodes, 1, math.min(#note.nodes, SHOWN), 1, {})
  local more = #note.nodes > SHOWN and (" and %d more"):format(#note.nodes - SHOWN) or ""
  return ("%s: what a chip computes here was never measured; mode \"chip\" has our own definition (%s%s)"):format(
    note.op, table.concat(shown, ", "), more)
end

return function(graph, mode)
  local list, of = {}, {}
  if mode == "original" then return list end
  for node in graph:nodes() do
    local op = core.op(node.op_type, node.domain)
    if op and op.v1.unmeasured then
      local note = of[op.name]
      if not note then
        note = { op = op.name, nodes = {} }
        of[op.name], list[#list + 1] = note, note
      end
      table.insert(note.nodes, node.name ~= "" and node.name or node:output(1).name)
    end
  end
  for _, note in ipairs(list) do note.message = message(note) end
  return list
end
