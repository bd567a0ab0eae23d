--- Before: MatMul(x, w) + bias, x of rank 3 or more, w of rank 2 and bias of shape (N) constant
--- After:  Reshape(x) to (-1, K) -> Gemm(w, bias) -> Reshape to the shape before; without a sum Gemm has no bias
--- For runtimes that have a Gemm with a bias and no MatMul of this rank. It makes three nodes of two, so it runs only
--- when it is named. At most one dimension of x in front of the last is not known.
local P, pass = require "espquant.pattern", require "espquant.pass"
local gemm = require "espquant.gemm"

return pass {
  name = "replace_matmul_with_gemm",
  run = function(graph)
    local count = 0
    for _, form in ipairs { gemm.sum(), gemm.product() } do
      for _, node in ipairs(graph:node_list()) do
        local m = node.alive and P.match(form, node)
        if m and gemm.rewrite(graph, node, m) then count = count + 1 end
      end
    end
    return count
  end,
}
