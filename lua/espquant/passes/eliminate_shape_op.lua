--- Before: Shape(x), all of it known    After: a constant
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local core = require "espquant.core"

return pass {
  name = "eliminate_shape_op",
  match = P.Shape { P.any "x" }:as "node",
  rewrite = function(graph, m)
    local dims = axes.known(axes.dimensions(m.node))
    return dims ~= nil and pass.replace_by_constant(graph, m.node, core.tensor_from(dims, "int64", { #dims }))
  end,
}
