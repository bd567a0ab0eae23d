--- Before: x -> Identity -> readers    After: x -> readers
--- Kept where x is a graph input, constant or output and Identity makes a graph output: both names must stay.
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "eliminate_identity",
  match = P.Identity { P.any "x" }:as "node",
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
