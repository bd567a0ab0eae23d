--- Before: x of rank 2 -> Flatten(axis = 1) -> readers    After: x -> readers
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "eliminate_nop_flatten",
  match = P.Flatten { P.any "x" }:as "node",
  rewrite = function(graph, m)
    local shape, axis = m.x.shape, m.node:attr "axis"
    if not shape or #shape ~= 2 or (axis ~= 1 and axis ~= -1) or not graph:replace(m.node, m.x) then return false end
    m.node:remove()
    return true
  end,
}
