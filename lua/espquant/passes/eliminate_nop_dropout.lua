--- Before: x -> Dropout -> readers    After: x -> readers    (inference; a mask that is read keeps the node)
local P, pass = require "espquant.pattern", require "espquant.pass"

local function is_inference(node)
  local training = node:input(3)
  if not training then return true end
  local flag = training.constant
  return flag and flag.count == 1 and flag:astype("float32"):maxabs() == 0
end

return pass {
  name = "eliminate_nop_dropout",
  match = P.Dropout { P.any "x" }:more():as "node":where(is_inference),
  rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
}
