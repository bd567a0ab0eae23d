--- Before: MatMul(x, w) -> BatchNormalization(scale, bias, mean, var), x and w of rank 2
--- After:  Gemm(x, w * k, bias - mean * k) with k = scale / sqrt(var + epsilon), one k per output column
--- The MatMul's output must have no other reader. (Of a higher rank, BatchNormalization scales rows, not columns.)
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local batchnorm = require "espquant.batchnorm"

return pass {
  name = "fuse_bn_into_matmul",
  match = P.BatchNormalization {
    P.MatMul { P.any "x", P.const "w" }:as "matmul":only_use(),
    P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  rewrite = function(graph, m)
    local w = m.w.constant
    if w.dtype ~= "float32" or w.rank ~= 2 or axes.rank(m.x) ~= 2 then return false end
    local k, shift = batchnorm.fold(m, w.shape[2], 0)
    if not k then return false end
    local gemm = assert(graph:add_node { op_type = "Gemm", name = m.matmul.name, inputs = { m.x, m.w },
      before = m.bn })
    pass.set_constant(graph, gemm, 2, w * k:reshape { 1, -1 }, "weight")
    pass.set_constant(graph, gemm, 3, shift, "bias")
    return pass.supersede(graph, m.bn, gemm)
  end,
}
