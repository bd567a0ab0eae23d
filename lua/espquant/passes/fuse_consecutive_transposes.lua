--- Before: Transpose(Transpose(x, a), b)    After: Transpose(x, a then b)    (eliminate_nop_transpose drops a no-op)
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

return pass {
  name = "fuse_consecutive_transposes",
  match = P.Transpose { P.Transpose { P.any "x" }:as "first" }:as "node",
  rewrite = function(graph, m)
    local rank = axes.rank(m.x)
    local first, second = axes.permutation(m.first, rank), axes.permutation(m.node, rank)
    local perm = first and second and axes.compose(first, second)
    if not perm then return false end
    assert(m.node:set_attr("perm", perm, "ints"))
    assert(m.node:set_input(1, m.x))
    pass.release(graph, m.first)
    return true
  end,
}
