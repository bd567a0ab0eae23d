--- Before: MatMul(x, w) + bias, x and w of rank 2, w and bias constant, bias of shape (N) or (1,N)
--- After:  Gemm(x, w, bias), without a name (see name_fused_gemms), its result named as the sum was
local P, pass = require "espquant.pattern", require "espquant.pass"

local function is_row(bias, columns)
  local shape = bias.shape
  return bias.dtype == "float32" and bias.count == columns and (#shape == 1 or (#shape == 2 and shape[1] == 1))
end

return pass {
  name = "fuse_matmul_add_bias_into_gemm",
  match = P.Add { P.MatMul { P.any "x", P.const "w" }:as "matmul":only_use(), P.const "bias" }:any_order():as "add",
  rewrite = function(graph, m)
    local w, shape = m.w.constant, m.x.shape
    if not shape or #shape ~= 2 or w.rank ~= 2 or not is_row(m.bias.constant, w.shape[2]) then return false end
    local gemm = assert(graph:add_node { op_type = "Gemm", inputs = { m.x, m.w, m.bias }, before = m.add })
    return pass.supersede(graph, m.add, gemm)
  end,
}
