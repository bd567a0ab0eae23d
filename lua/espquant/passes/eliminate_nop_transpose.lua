--- Before: x -> Transpose(0, 1, 2, ...) -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

local function keeps_order(node)
  local perm, shape = pass.attr(node, "perm", "integers"), node:input(1).shape
  if not perm or (shape and #shape ~= #perm) then return false end
  for i, axis in ipairs(perm) do
    if axis ~= i - 1 then return false end
  end
  return true
end

return pass {
  name = "eliminate_nop_transpose",
  match = P.Transpose { P.any "x" }:as "node":where(keeps_order),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
