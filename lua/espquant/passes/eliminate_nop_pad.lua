--- Before: x -> Pad(all zeros) -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

-- The pads, since opset 11 an input; nil where they are not known.
local function read_pads(node)
  local value = node:input(2)
  if not value then return pass.attr(node, "pads", "integers") end
  return value.constant and value.constant:totable()
end

local function pads_nothing(node)
  local pads = read_pads(node)
  for _, n in ipairs(pads or {}) do
    if n ~= 0 then return false end
  end
  return pads ~= nil
end

return pass {
  name = "eliminate_nop_pad",
  match = P.Pad { P.any "x" }:more():as "node":where(pads_nothing),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
