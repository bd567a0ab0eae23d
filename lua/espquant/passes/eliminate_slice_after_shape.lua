--- Before: Slice(Shape(x), constant bounds), these dimensions known    After: a constant
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local core = require "espquant.core"

return pass {
  name = "eliminate_slice_after_shape",
  match = P.Slice { P.Shape { P.any "x" }:as "shape" }:more():as "node",
  rewrite = function(graph, m)
    local dims, slice = axes.dimensions(m.shape), axes.slice(m.node)
    if not dims or not slice or #slice.starts ~= 1 then return false end
    local picked = {}
    for i, place in ipairs(axes.places(slice.starts[1], slice.ends[1], slice.steps[1], #dims)) do
      picked[i] = dims[place + 1]
    end
    picked = axes.known(picked)
    return picked ~= nil and pass.replace_by_constant(graph, m.node, core.tensor_from(picked, "int64", { #picked }))
  end,
}
