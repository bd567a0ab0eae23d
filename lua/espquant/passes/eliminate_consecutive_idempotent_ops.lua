--- Before: f(f(x))    After: f(x)                     for f in Abs, Ceil, Floor, Relu, Round, Sign
--- Before: Reshape(Reshape(x, a), b)    After: Reshape(x, b)    b constant, without a 0, which copies a dimension of a
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

local function has_zero(list)
  for _, d in ipairs(list) do
    if d == 0 then return true end
  end
  return false
end

local function takes_past(node, first)
  if node.op_type ~= first.op_type then return false end
  if node.op_type ~= "Reshape" then return true end
  local target = axes.constant_list(node, 2)
  return target and not has_zero(target)
end

local OPS = { "Abs", "Ceil", "Floor", "Relu", "Reshape", "Round", "Sign" }

return pass {
  name = "eliminate_consecutive_idempotent_ops",
  match = P.one_of(OPS, { P.one_of(OPS, { P.any "x" }):more():as "first" }):more():as "node",
  rewrite = function(graph, m)
    if not takes_past(m.node, m.first) then return false end
    assert(m.node:set_input(1, m.x))
    pass.release(graph, m.first)
    return true
  end,
}
