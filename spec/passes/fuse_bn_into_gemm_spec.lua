local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x (2x3) -> Gemm -> BatchNormalization -> Relu; options: attrs, w, c (shape of Gemm's third input), channels
local function gemm_bn(options)
  options = options or {}
  return function(b)
    local inputs = { b.input("x", { 2, 3 }), b.random("w", options.w or { 3, 4 }) }
    if options.c then inputs[3] = b.random("c", options.c) end
    local gemm = b.node("Gemm", inputs, { name = "fc", attrs = options.attrs, out = "gemm_out" })
    b.output(b.node("Relu", { b.batch_norm(gemm, options.channels or 4, { out = "bn_out" }) }, { out = "y" }))
  end
end

local function takes_over_the_name(graph)
  assert.equal("bn_out", graph:node "fc":output(1).name)
  assert.is_nil(graph:value "gemm_out")
end

harness.describe("fuse_bn_into_gemm", {
  { "folds by columns, adds a bias and takes over the name", build = gemm_bn(), changes = 1, ops = "Gemm Relu",
    check = function(graph)
      takes_over_the_name(graph)
      assert.equal("fc_bias", graph:node "fc":input(3).name)
    end },
  { "folds by rows of a transposed weight", changes = 1, ops = "Gemm Relu", check = takes_over_the_name,
    build = gemm_bn { w = { 4, 3 }, attrs = { transB = 1 } } },
  { "tells rows from columns of a square weight", changes = 1, ops = "Gemm Relu",
    build = gemm_bn { w = { 3, 3 }, channels = 3, c = { 3 } } },
  { "folds a row", build = gemm_bn { c = { 4 } }, changes = 1, ops = "Gemm Relu" },
  { "folds a row of rank 2", build = gemm_bn { c = { 1, 4 } }, changes = 1, ops = "Gemm Relu" },
  { "folds a scalar", build = gemm_bn { c = {} }, changes = 1, ops = "Gemm Relu" },
  { "folds one number", build = gemm_bn { c = { 1, 1 } }, changes = 1, ops = "Gemm Relu" },
  {
    "keeps the name of a graph output",
    build = function(b)
      b.output(b.batch_norm(b.node("Gemm", { b.input("x", { 2, 3 }), b.random("w", { 3, 4 }) }), 4, { out = "y" }))
    end,
    changes = 1, ops = "Gemm",
  },
  { "keeps it with a matrix to add", build = gemm_bn { c = { 2, 4 } }, changes = 0, exact = true },
  { "keeps it with a column to add", build = gemm_bn { c = { 2, 1 } }, changes = 0, exact = true },
  { "keeps it with an alpha", build = gemm_bn { attrs = { alpha = 0.5 } }, changes = 0, exact = true },
  { "keeps it with a beta", build = gemm_bn { c = { 4 }, attrs = { beta = 0.5 } }, changes = 0, exact = true },
  { "keeps it with a transB of text", build = gemm_bn { attrs = { transB = "0" } }, changes = 0, run = false },
  { "keeps it where the parameters are too many", build = gemm_bn { channels = 5 }, changes = 0, run = false },
  {
    "keeps a weight of another type",
    build = function(b)
      local w = b.constant("w", core.tensor({ 3, 4 }, "float64"))
      b.output(b.batch_norm(b.node("Gemm", { b.input("x", { 2, 3 }), w }), 4))
    end,
    changes = 0, run = false,
  },
  { "keeps a weight of another rank", build = gemm_bn { w = { 3, 4, 1 } }, changes = 0, run = false },
  {
    "keeps it when the Gemm has another reader",
    build = function(b)
      local gemm = b.node("Gemm", { b.input("x", { 2, 3 }), b.random("w", { 3, 4 }) })
      b.output(b.node("Add", { b.batch_norm(gemm, 4), gemm }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps it when the Gemm's result is a graph output",
    build = function(b)
      local gemm = b.node("Gemm", { b.input("x", { 2, 3 }), b.random("w", { 3, 4 }) })
      b.output(gemm)
      b.output(b.batch_norm(gemm, 4))
    end,
    changes = 0, exact = true,
  },
  {
    "leaves a shared weight alone",
    build = function(b)
      local x, w = b.input("x", { 2, 4 }), b.random("w", { 4, 4 })
      b.output(b.batch_norm(b.node("Gemm", { x, w }, { name = "first" }), 4))
      b.output(b.node("Gemm", { x, w }, { name = "second" }))
    end,
    changes = 1, ops = "Gemm Gemm",
    check = function(graph) assert.equal("w", graph:node "second":input(2).name) end,
  },
})
