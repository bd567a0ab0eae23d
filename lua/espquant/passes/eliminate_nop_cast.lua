--- Before: x -> Cast to the type that x has -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

local function keeps_type(node)
  local dtype = node:input(1).dtype
  return dtype ~= nil and node:output(1).dtype == dtype
end

return pass {
  name = "eliminate_nop_cast",
  match = P.Cast { P.any "x" }:as "node":where(keeps_type),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
