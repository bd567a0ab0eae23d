--- Before: x -> Dropout -> readers    After: x -> readers    (inference; a mask that is read keeps the node)
local P, pass = require "espquant.pattern", require "espquant.pass"

local function in_training(node)
  local training = node:input(3)
  return training and not (training.constant and training.constant:astype("float32"):maxabs() == 0)
end

return pass {
  name = "eliminate_nop_dropout",
  match = P.Dropout { P.any "x" }:more():as "node",
  rewrite = function(graph, m)
    local mask = m.node:output(2)
    if in_training(m.node) or (mask and mask:use_count() > 0) or not graph:replace(m.node, m.x) then return false end
    m.node:remove()
    return true
  end,
}
