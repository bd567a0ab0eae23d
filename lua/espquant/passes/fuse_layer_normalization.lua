--- Before: d = x - ReduceMean(x), d / Sqrt(ReduceMean(d * d) + epsilon) [* scale] [+ bias]
--- After:  LayerNormalization(x, scale, bias), scale 1 where there is none
--- Also with Pow for squares and roots, Reciprocal or 1 / for the quotient, and as x * k + (bias - mean * k) with
--- k = scale / Sqrt(...), which TensorFlow writes. Other axes than the last are moved there by two Transposes; their
--- dimensions are known. Where the model's opset has LayerNormalization (17; raise_opset). A LayerNormalization takes
--- over what scale and bias follow it.
local P, pass = require "espquant.pattern", require "espquant.pass"
local normalization = require "espquant.normalization"
local numbers = require "espquant.numbers"

local SINCE = 17

local function mean() return normalization.mean(P.any "x", "mean") end
local function centred() return P.Sub { P.any "x", mean() } end

local function variance()
  local function other(i) return P.Sub { P.any "x", normalization.mean(P.any "x", "mean" .. i) } end
  return normalization.mean(normalization.square(other), "variance")
end

local function factor()
  local function inverse() return normalization.inverse(variance()) end
  return P.either { P.Mul { inverse():only_use(), P.const "scale" }:any_order(), inverse() }:as "k"
    :where(function(value) return value:use_count() == 2 end)
end

-- x * k
local function scaled() return P.Mul { P.any "x", factor() }:any_order():only_use() end
-- mean * k, and its negative
local function moved() return P.Mul { mean(), P.any "k" }:any_order():only_use() end
local function minus()
  return P.either { P.Neg { moved() }, P.Mul { P.Neg { mean() }, P.any "k" }:any_order() }:only_use()
end

local FORMS = {
  Div = { P.Div { centred(), normalization.deviation(variance()) } },
  Mul = { P.Mul { centred(), normalization.inverse(variance()) }:any_order() },
  Sub = { P.Sub { scaled(), moved() } },
  Add = {
    P.Add { scaled(), P.Sub { P.const "bias", moved() }:only_use() }:any_order(),
    P.Add { scaled(), P.Add { minus(), P.const "bias" }:any_order():only_use() }:any_order(),
    P.Add { scaled(), minus() }:any_order(),
  },
}

local absorb = normalization.absorber("LayerNormalization", { "Mul", "Div", "Add", "Sub" })

local function fuse(graph, node, form)
  local m = P.match(form, node)
  local fits = m and numbers.same_form(m.x, node:output(1))
  local list = fits and normalization.common_axes(m.x, m.mean, m.mean1, m.mean2, m.variance)
  local norm = list and normalization.add(graph, "LayerNormalization", node, m.x, list, numbers.of(m.epsilon))
  return norm ~= nil and norm ~= false and normalization.take_over(graph, node, norm, m.scale, m.bias)
end

return pass {
  name = "fuse_layer_normalization",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph.opset >= SINCE and graph:node_list() or {}) do
      if node.alive and absorb(graph, node) then count = count + 1 end
      for _, form in ipairs(node.alive and FORMS[node.op_type] or {}) do
        if node.alive and fuse(graph, node, form) then count = count + 1 end
      end
    end
    return count
  end,
}
