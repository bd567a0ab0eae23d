--- Before: Gemm(Transpose(a), b, c) or Gemm(a, Transpose(b), c), Transpose of rank 2
--- After:  Gemm(a, b, c) with transA or transB flipped
local P, pass = require "espquant.pattern", require "espquant.pass"

local function swaps(transpose)
  local perm = transpose:attr("perm", nil)
  return perm == nil or (#perm == 2 and perm[1] == 1 and perm[2] == 0)
end

-- Takes input i past a Transpose; true if there was one.
local function absorb(gemm, i, attr)
  local producer = gemm:input(i).producer
  if not producer or producer.op_type ~= "Transpose" or not swaps(producer) then return false end
  gemm:set_attr(attr, 1 - gemm:attr(attr))
  gemm:set_input(i, producer:input(1))
  return true
end

return pass {
  name = "fuse_transpose_into_gemm",
  match = P.Gemm { P.any "a", P.any "b" }:more():as "gemm",
  rewrite = function(graph, m)
    local first, second = absorb(m.gemm, 1, "transA"), absorb(m.gemm, 2, "transB")
    if first or second then graph:prune() end
    return first or second
  end,
}
