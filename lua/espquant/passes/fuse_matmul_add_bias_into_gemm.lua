--- Before: MatMul(x, w) + bias, x and w of rank 2, w and bias constant, bias of shape (N) or (1,N)
--- After:  Gemm(x, w, bias)
local P, pass = require "espquant.pattern", require "espquant.pass"

local function is_row(bias, columns)
  return bias.dtype == "float32" and bias.count == columns and
    (bias.rank == 1 or (bias.rank == 2 and bias.shape[1] == 1))
end

return pass {
  name = "fuse_matmul_add_bias_into_gemm",
  match = P.Add { P.MatMul { P.any "x", P.const "w" }:as "matmul":only_use(), P.const "bias" }:any_order():as "add",
  rewrite = function(graph, m)
    local w, shape = m.w.constant, m.x.shape
    if not shape or #shape ~= 2 or w.rank ~= 2 or not is_row(m.bias.constant, w.shape[2]) then return false end
    local gemm = graph:add_node {
      op_type = "Gemm", name = m.matmul.name, inputs = { m.x, m.w, m.bias }, outputs = 1, before = m.add,
    }
    local result, name = gemm:output(1), m.add:output(1).name
    graph:replace(m.add, gemm)
    m.add:remove()
    if result.name ~= name then result:rename(name) end
    graph:prune()
    return true
  end,
}
