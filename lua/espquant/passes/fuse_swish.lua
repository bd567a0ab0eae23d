--- Before: x * Sigmoid(x)             After: Swish(x), where the model's opset has it (24)
--- Before: x * HardSigmoid(x, 1/6)    After: HardSwish(x), where the model's opset has it (14)
--- Before: x * Sigmoid(x * alpha)     After: Swish(x) with that alpha
--- The opset is never raised: what else changed its meaning with a newer one is not the pass's to decide.
local P, pass = require "espquant.pattern", require "espquant.pass"
local numbers = require "espquant.numbers"

local SINCE = { Swish = 24, HardSwish = 14 }
local SIXTH = 1 / 6

local function is_hard(node)
  local alpha, beta = pass.attr(node, "alpha", "float"), pass.attr(node, "beta", "float")
  return alpha and beta and math.abs(alpha - SIXTH) < 1e-7 and beta == 0.5
end

local forms = {
  { "Swish", P.Mul { P.any "x", P.Sigmoid { P.any "x" }:only_use() }:any_order():as "node" },
  { "Swish", P.Mul { P.any "x", P.Sigmoid { P.Mul { P.any "x", P.const "alpha" }:any_order():only_use() }:only_use() }
    :any_order():as "node" },
  { "HardSwish", P.Mul { P.any "x", P.HardSigmoid { P.any "x" }:where(is_hard):only_use() }:any_order():as "node" },
}

local function fuse(graph, form, m)
  local alpha = m.alpha and numbers.of(m.alpha)
  if not numbers.same_form(m.x, m.node:output(1)) or (m.alpha and not alpha) then return false end
  local made = assert(graph:add_node { op_type = form[1], name = m.node.name, inputs = { m.x }, before = m.node,
    attrs = alpha and { alpha = alpha } or nil })
  return pass.supersede(graph, m.node, made)
end

return pass {
  name = "fuse_swish",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      for _, form in ipairs(node.alive and node.op_type == "Mul" and forms or {}) do
        local m = node.alive and graph.opset >= SINCE[form[1]] and P.match(form[2], node)
        if m and fuse(graph, form, m) then count = count + 1 end
      end
    end
    return count
  end,
}
