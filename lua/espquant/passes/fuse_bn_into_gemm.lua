--- Before: Gemm(x, w, b) -> BatchNormalization(scale, bias, mean, var)
--- After:  Gemm(x, w * k, (b - mean) * k + bias) with k = scale / sqrt(var + epsilon), one k per output column
--- The Gemm's output must have no other reader, alpha and beta be 1. The Gemm takes over the name of the result.
local P, pass = require "espquant.pattern", require "espquant.pass"
local batchnorm = require "espquant.batchnorm"

local function is_row(b, columns)
  return b.dtype == "float32" and b.rank <= 2 and (b.count == 1 or (b.count == columns and b.shape[b.rank] == columns))
end

return pass {
  name = "fuse_bn_into_gemm",
  match = P.BatchNormalization {
    P.Gemm { P.any "x", P.const "w", P.opt(P.const "b") }:as "gemm":only_use():with { alpha = 1, beta = 1 },
    P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  rewrite = function(graph, m)
    local w, b, trans_b = m.w.constant, m.b and m.b.constant, pass.attr(m.gemm, "transB", "integer")
    if w.dtype ~= "float32" or w.rank ~= 2 or not trans_b then return false end
    local columns = w.shape[trans_b ~= 0 and 1 or 2]
    if b and not is_row(b, columns) then return false end
    local k, shift = batchnorm.fold(m, columns, b or 0)
    if not k then return false end
    pass.set_constant(graph, m.gemm, 2, w * k:reshape(trans_b ~= 0 and { -1, 1 } or { 1, -1 }), "weight")
    pass.set_constant(graph, m.gemm, 3, shift, "bias")
    return pass.supersede(graph, m.bn, m.gemm)
  end,
}
