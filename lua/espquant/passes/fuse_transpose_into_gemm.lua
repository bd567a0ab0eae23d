--- Before: Gemm(Transpose(a), b, c) or Gemm(a, Transpose(b), c), Transpose of rank 2
--- After:  Gemm(a, b, c) with transA or transB flipped
local P, pass = require "espquant.pattern", require "espquant.pass"

-- Without perm the axes are reversed; a Gemm's operands have two.
local function swaps(transpose)
  local perm = pass.attr(transpose, "perm", "integers")
  if not perm then return not transpose:has_attr "perm" end
  return #perm == 2 and perm[1] == 1 and perm[2] == 0
end

-- Takes input i past a Transpose; true if there was one.
local function absorb(graph, gemm, i, attr)
  local transpose, flag = gemm:input(i).producer, pass.attr(gemm, attr, "integer")
  if not flag or not transpose or not P.match(P.Transpose { P.any() }:where(swaps), transpose) then return false end
  assert(gemm:set_attr(attr, flag == 0 and 1 or 0))
  assert(gemm:set_input(i, transpose:input(1)))
  pass.release(graph, transpose)
  return true
end

return pass {
  name = "fuse_transpose_into_gemm",
  match = P.Gemm { P.any "a", P.any "b" }:more():as "gemm",
  rewrite = function(graph, m)
    return absorb(graph, m.gemm, 1, "transA") or absorb(graph, m.gemm, 2, "transB")
  end,
}
