local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x -> MatMul -> BatchNormalization -> Relu
local function build(o)
  o = o or {}
  return function(b)
    local product = b.node("MatMul", { b.input("x", o.shape or { 2, 3 }), b.random("w", o.w or { 3, 4 }) },
      { name = "fc" })
    if o.other then b.output(product) end
    b.output(b.node("Relu", { b.batch_norm(product, o.channels or 4) }, { out = "y" }))
  end
end

harness.describe("fuse_bn_into_matmul", {
  { "makes a Gemm with a bias", build = build(), changes = 1, ops = "Gemm Relu",
    check = function(graph) assert.equal("fc_bias", graph:node "fc":input(3).name) end },
  { "tells rows from columns of a square weight", build = build { w = { 3, 3 }, channels = 3 }, changes = 1,
    ops = "Gemm Relu" },
  { "keeps a product of rank 3", build = build { shape = { 2, 4, 3 } }, changes = 0, exact = true },
  { "keeps it when others read the product", build = build { other = true }, changes = 0, exact = true },
  { "keeps it where the parameters are too many", build = build { channels = 5 }, changes = 0, run = false },
  {
    "keeps a weight on the left",
    build = function(b)
      b.output(b.batch_norm(b.node("MatMul", { b.random("w", { 2, 3 }), b.input("x", { 3, 4 }) }), 4))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps a weight of another type",
    build = function(b)
      local w = b.constant("w", core.tensor({ 3, 4 }, "float64"))
      b.output(b.batch_norm(b.node("MatMul", { b.input("x", { 2, 3 }), w }), 4))
    end,
    changes = 0, run = false,
  },
})
