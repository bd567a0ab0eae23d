--- Before: Unsqueeze(Unsqueeze(x, a), b)    After: Unsqueeze(x, axes of both, counted in the result)
--- Both have constant axes.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

return pass {
  name = "fuse_consecutive_unsqueezes",
  match = P.Unsqueeze { P.Unsqueeze { P.any "x" }:more():as "first" }:more():as "node",
  rewrite = function(graph, m)
    local a, b, rank = axes.read(m.first, "axes", 2), axes.read(m.node, "axes", 2), axes.rank(m.x)
    if not a or not b or not rank then return false end
    a, b = axes.normalize(a, rank + #a), axes.normalize(b, rank + #a + #b)
    if not a or not b then return false end
    pass.set_integers(graph, m.node, "axes", 2, axes.insert(b, a, rank + #a + #b))
    assert(m.node:set_input(1, m.x))
    pass.release(graph, m.first)
    return true
  end,
}
