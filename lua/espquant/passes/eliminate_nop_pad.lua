--- Before: x -> Pad(all zeros) -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

local function pads_nothing(pad)
  local value = pad:input(2)
  local pads = value and value.constant and value.constant:totable() or not value and pad:attr("pads", nil)
  for _, n in ipairs(pads or { 1 }) do
    if n ~= 0 then return false end
  end
  return true
end

return pass {
  name = "eliminate_nop_pad",
  match = P.Pad { P.any "x" }:more():as "node":where(pads_nothing),
  rewrite = function(graph, m)
    if not graph:replace(m.node, m.x) then return false end
    m.node:remove()
    graph:prune()
    return true
  end,
}
