--- Before: x -> Concat of it alone -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "eliminate_nop_concat",
  match = P.Concat { P.any "x" }:as "node",
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
