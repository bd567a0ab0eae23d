--- Before: Gemm(x, w, b) -> BatchNormalization(scale, bias, mean, var)
--- After:  Gemm(x, w * k, (b - mean) * k + bias) with k = scale / sqrt(var + epsilon), one k per output column
--- The Gemm's output must have no other reader, alpha and beta be 1. The Gemm takes over the name of the result.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

local function plain(gemm)
  return gemm:attr "alpha" == 1 and gemm:attr "beta" == 1
end

return pass {
  name = "fuse_bn_into_gemm",
  match = P.BatchNormalization {
    P.Gemm { P.any "x", P.const "w", P.opt(P.const "b") }:as "gemm":only_use():where(plain),
    P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  rewrite = function(graph, m)
    local gemm, w, mean = m.gemm, m.w.constant, m.mean.constant
    local axis = gemm:attr "transB" ~= 0 and 1 or 2
    if w.shape[axis] ~= mean.count or w.dtype ~= "float32" then return false end
    local k = m.scale.constant / (m.var.constant + m.bn:attr "epsilon"):sqrt()
    local b = m.b and m.b.constant or core.tensor { mean.count }
    pass.set_constant(graph, gemm, 2, w * (axis == 1 and k:reshape { -1, 1 } or k:reshape { 1, -1 }))
    pass.set_constant(graph, gemm, 3, (b - mean) * k + m.bias.constant, gemm.name .. "_bias")
    local name, result = m.bn:output(1).name, gemm:output(1)
    graph:replace(m.bn, gemm)
    m.bn:remove()
    if result.name ~= name then result:rename(name) end
    graph:prune()
    return true
  end,
}
