--- Before: x -> Transpose(0, 1, 2, ...) -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

local function keeps_order(node)
  local perm = node:attr("perm", nil)
  for i, axis in ipairs(perm or { -1 }) do
    if axis ~= i - 1 then return false end
  end
  return true
end

return pass {
  name = "eliminate_nop_transpose",
  match = P.Transpose { P.any "x" }:as "node":where(keeps_order),
  rewrite = function(graph, m)
    if not graph:replace(m.node, m.x) then return false end
    m.node:remove()
    return true
  end,
}
