--- Before: x / Sqrt(ReduceMean(x * x) + epsilon) [* scale]    After: RMSNormalization(x, scale), 1 where there is none
--- Also with Pow for squares and roots, and with Reciprocal or 1 / for the quotient. Other axes than the last are moved
--- there by two Transposes; their dimensions are known. Where the model's opset has RMSNormalization (23; raise_opset).
--- An RMSNormalization takes over what scale follows it.
local P, pass = require "espquant.pattern", require "espquant.pass"
local normalization = require "espquant.normalization"
local numbers = require "espquant.numbers"

local SINCE = 23

local function variance()
  return normalization.mean(normalization.square(function() return P.any "x" end), "variance")
end

local FORMS = {
  Div = P.Div { P.any "x", normalization.deviation(variance()) },
  Mul = P.Mul { P.any "x", normalization.inverse(variance()):only_use() }:any_order(),
}

local absorb = normalization.absorber("RMSNormalization", { "Mul", "Div" })

local function fuse(graph, node, form)
  local m = P.match(form, node)
  local list = m and numbers.same_form(m.x, node:output(1)) and normalization.common_axes(m.x, m.variance)
  local norm = list and normalization.add(graph, "RMSNormalization", node, m.x, list, numbers.of(m.epsilon))
  return norm ~= nil and norm ~= false and pass.supersede(graph, node, norm)
end

return pass {
  name = "fuse_rms_normalization",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph.opset >= SINCE and graph:node_list() or {}) do
      local form = node.alive and FORMS[node.op_type]
      if node.alive and (absorb(graph, node) or (form and fuse(graph, node, form))) then count = count + 1 end
    end
    return count
  end,
}
