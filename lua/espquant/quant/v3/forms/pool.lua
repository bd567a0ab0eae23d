--- Before: GlobalMaxPool(x), x of known sizes    After: MaxPool(x), its window as large as x
--- The runtime has no GlobalMaxPool.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

return pass {
  name = "pool",
  match = P.GlobalMaxPool { P.any "x" }:as "node",
  rewrite = function(graph, m)
    local sizes = m.x.shape and axes.known { table.unpack(m.x.shape, 3) }
    if not sizes or #sizes == 0 then return false end
    local pool = assert(graph:add_node { op_type = "MaxPool", name = m.node.name, inputs = { m.x }, before = m.node,
      attrs = { kernel_shape = sizes, strides = sizes } })
    return pass.supersede(graph, m.node, pool)
  end,
}
