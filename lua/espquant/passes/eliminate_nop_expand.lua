--- Before: x -> Expand to a constant shape that x has already -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

-- Whether every number of the target, aligned at the right, is 1 or the dimension of x.
local function keeps_shape(node)
  local shape, target = node:input(1).shape, axes.constant_list(node, 2)
  if not shape or not target or #target > #shape then return false end
  for i, d in ipairs(target) do
    if d ~= 1 and d ~= shape[#shape - #target + i] then return false end
  end
  return true
end

return pass {
  name = "eliminate_nop_expand",
  match = P.Expand { P.any "x", P.const() }:as "node":where(keeps_shape),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
