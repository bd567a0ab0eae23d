--- Before: Gather(Shape(x), constant indices), these dimensions known    After: a constant
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local core = require "espquant.core"

-- The dimensions at these indices, or nil where one is not known or out of range.
local function gather(dims, indices)
  local picked = {}
  for i, index in ipairs(indices:reshape { -1 }:totable()) do
    picked[i] = dims[(index < 0 and index + #dims or index) + 1] or false
  end
  return axes.known(picked)
end

return pass {
  name = "eliminate_shape_gather",
  match = P.Gather { P.Shape { P.any "x" }:as "shape", P.const "indices" }:as "node",
  rewrite = function(graph, m)
    local indices, dims, axis = m.indices.constant, axes.dimensions(m.shape), m.node:attr("axis", 0)
    if not dims or (axis ~= 0 and axis ~= -1) or not indices.dtype:match "^int" then return false end
    local picked = gather(dims, indices)
    return picked ~= nil and pass.replace_by_constant(graph, m.node, core.tensor_from(picked, "int64", indices.shape))
  end,
}
