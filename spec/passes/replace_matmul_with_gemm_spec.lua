local harness = require "spec.support.pass_harness"

-- x -> MatMul [+ bias] -> Neg
local function build(shape, o)
  o = o or {}
  return function(b)
    local y = b.node("MatMul", { b.input("x", shape), b.random("w", o.w or { 5, 4 }) }, { name = "fc" })
    if o.other then b.output(y) end
    if o.bias then
      local bias = b.random("bias", o.bias)
      y = b.node("Add", o.swap and { bias, y } or { y, bias }, { out = "sum" })
    end
    b.output(b.node("Neg", { y }, { out = "y" }))
  end
end

local GEMM = "Reshape Gemm Reshape Neg"

harness.describe("replace_matmul_with_gemm", {
  { "takes the sum along", build = build({ 2, 3, 5 }, { bias = { 4 } }), changes = 1, ops = GEMM,
    check = function(graph) assert.equal("bias", graph:node "fc":input(3).name) end },
  { "takes a bias in front, of higher rank", build = build({ 2, 3, 5 }, { bias = { 1, 1, 4 }, swap = true }),
    changes = 1, ops = GEMM, check = function(graph) assert.same({ 4 }, graph:node "fc":input(3).shape) end },
  { "does without a sum", build = build { 2, 3, 2, 5 }, changes = 1, ops = GEMM },
  { "keeps an open batch open", build = build({ "N", 3, 5 }, { bias = { 4 } }), changes = 1, ops = GEMM },
  { "leaves a sum that is no bias", build = build({ 2, 3, 5 }, { bias = { 3, 1 } }), changes = 1,
    ops = "Reshape Gemm Reshape Add Neg" },
  { "leaves a sum that adds an axis", build = build({ 2, 3, 5 }, { bias = { 1, 1, 1, 4 } }), changes = 1,
    ops = "Reshape Gemm Reshape Add Neg" },
  { "leaves a sum where others read the product", build = build({ 2, 3, 5 }, { bias = { 4 }, other = true }),
    changes = 1, ops = "Reshape Gemm Reshape Add Neg" },
  { "keeps a product of rank 2", build = build({ 3, 5 }, { bias = { 4 } }), changes = 0, exact = true },
  { "keeps two open dimensions", build = build({ "N", "L", 5 }, { bias = { 4 } }), changes = 0, exact = true },
  { "keeps a weight per matrix", build = build({ 2, 3, 5 }, { w = { 2, 5, 4 } }), changes = 0, exact = true },
  {
    "keeps a weight on the left",
    build = function(b) b.output(b.node("MatMul", { b.random("w", { 4, 2 }), b.input("x", { 3, 2, 5 }) })) end,
    changes = 0, exact = true,
  },
})
