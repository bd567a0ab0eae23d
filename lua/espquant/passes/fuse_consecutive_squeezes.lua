--- Before: Squeeze(Squeeze(x, a), b)    After: Squeeze(x, axes of both, counted in x)
--- Both name constant axes.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

return pass {
  name = "fuse_consecutive_squeezes",
  match = P.Squeeze { P.Squeeze { P.any "x" }:more():as "first" }:more():as "node",
  rewrite = function(graph, m)
    local rank = axes.rank(m.x)
    local a = axes.normalize(axes.read(m.first, "axes", 2), rank)
    local b = a and axes.normalize(axes.read(m.node, "axes", 2), rank - #a)
    if not b then return false end
    pass.set_integers(graph, m.node, "axes", 2, axes.insert(a, b, rank))
    assert(m.node:set_input(1, m.x))
    pass.release(graph, m.first)
    return true
  end,
}
