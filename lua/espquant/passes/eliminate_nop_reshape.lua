--- Before: x -> Reshape to the shape that x has -> readers    After: x -> readers
--- All dimensions but one must be the same by what is known; the last then is, since the elements stay.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

-- 0: the dimension is kept; 1: it is not known to be.
local function doubt(node, target, d)
  if target == 0 then return node:attr("allowzero", 0) == 0 and 0 or (d == 0 and 0 or 1) end
  return target == d and 0 or 1
end

local function keeps_shape(node)
  local shape, target, doubts = node:input(1).shape, axes.constant_list(node, 2), 0
  if not shape or not target or #shape ~= #target then return false end
  for i, d in ipairs(shape) do
    if d == 0 then return false end
    doubts = doubts + doubt(node, target[i], d)
  end
  return doubts <= 1
end

return pass {
  name = "eliminate_nop_reshape",
  match = P.Reshape { P.any "x", P.const() }:as "node":where(keeps_shape),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
