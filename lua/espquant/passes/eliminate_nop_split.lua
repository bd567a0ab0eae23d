--- Before: x -> Split into one part -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "eliminate_nop_split",
  match = P.Split { P.any "x" }:more():as "node":where(function(node) return #node.outputs == 1 end),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
