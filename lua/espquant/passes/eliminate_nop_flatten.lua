--- Before: x of rank 2 -> Flatten(axis = 1) -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

local function keeps_shape(node)
  local shape, axis = node:input(1).shape, pass.attr(node, "axis", "integer")
  return shape and #shape == 2 and (axis == 1 or axis == -1)
end

return pass {
  name = "eliminate_nop_flatten",
  match = P.Flatten { P.any "x" }:as "node":where(keeps_shape),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
