local harness = require "spec.support.pass_harness"

local function einsum(equation, other)
  return function(b)
    local a, c = b.input("a", { 2, 3, 4 }), b.input("b", other or { 2, 4, 5 })
    b.output(b.node("Einsum", { a, c }, { attrs = { equation = equation }, name = "e", out = "y" }))
  end
end

local function refuses(name, equation)
  return { name, build = einsum(equation), changes = 0, run = false }
end

harness.describe("replace_einsum_with_matmul", {
  { "makes a product a MatMul", build = einsum "bij,bjk->bik", changes = 1, run = false, ops = "MatMul",
    check = function(graph)
      assert(graph:infer_shapes())
      assert.same({ 2, 3, 5 }, graph.outputs[1].shape)
      assert.equal("e", graph:node_list()[1].name)
    end },
  { "allows spaces and other letters", build = einsum " zqc , zcd -> zqd ", changes = 1, run = false, ops = "MatMul" },
  { "transposes the second operand", build = einsum("bij,bkj->bik", { 2, 5, 4 }), changes = 1, run = false,
    ops = "Transpose MatMul", check = function(graph)
      assert(graph:infer_shapes())
      assert.same({ 2, 3, 5 }, graph.outputs[1].shape)
    end },
  refuses("keeps a sum over the front", "bij,bjk->ik"),
  refuses("keeps a transposed result", "bij,bjk->bki"),
  refuses("keeps an elementwise product", "bij,bij->bij"),
  refuses("keeps a diagonal", "bbj,bjk->bbk"),
  refuses("keeps other ranks", "bij,jk->bik"),
  refuses("keeps an ellipsis", "...ij,...jk->...ik"),
  refuses("keeps what has no result", "bij,bjk"),
})
