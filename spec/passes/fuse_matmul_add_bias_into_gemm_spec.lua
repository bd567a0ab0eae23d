local harness = require "spec.support.pass_harness"

-- MatMul(x, w) + bias -> Relu; options: x, w (shapes), swapped
local function matmul_add(shape, options)
  options = options or {}
  return function(b)
    local matmul = b.node("MatMul", { b.input("x", options.x or { 2, 3 }), b.random("w", options.w or { 3, 4 }) },
      { name = "matmul" })
    local bias = b.random("bias", shape)
    local sum = b.node("Add", options.swapped and { bias, matmul } or { matmul, bias }, { name = "add", out = "sum" })
    b.output(b.node("Relu", { sum }, { out = "y" }))
  end
end

local function is_nameless(graph)
  local gemm = graph:node_list()[1]
  assert.equal("", gemm.name)
  assert.equal("sum", gemm:output(1).name)
  assert.equal("bias", gemm:input(3).name)
end

harness.describe("fuse_matmul_add_bias_into_gemm", {
  { "takes a row", build = matmul_add { 4 }, changes = 1, ops = "Gemm Relu", check = is_nameless },
  { "takes a row of rank 2", build = matmul_add { 1, 4 }, changes = 1, ops = "Gemm Relu", check = is_nameless },
  { "takes it from the left", build = matmul_add({ 4 }, { swapped = true }), changes = 1, ops = "Gemm Relu",
    check = is_nameless },
  { "takes a symbolic batch", build = matmul_add({ 4 }, { x = { "N", 3 } }), changes = 1, ops = "Gemm Relu" },
  {
    "keeps the name of a graph output",
    build = function(b)
      local matmul = b.node("MatMul", { b.input("x", { 2, 3 }), b.random("w", { 3, 4 }) })
      b.output(b.node("Add", { matmul, b.random("bias", { 4 }) }, { out = "y" }))
    end,
    changes = 1, ops = "Gemm",
  },
  { "keeps one number for all", build = matmul_add { 1 }, changes = 0, exact = true },
  { "keeps a matrix", build = matmul_add { 2, 4 }, changes = 0, exact = true },
  { "keeps a column", build = matmul_add({ 4, 1 }, { x = { 4, 3 } }), changes = 0, exact = true },
  { "keeps a stack of matrices", build = matmul_add({ 4 }, { x = { 2, 2, 3 } }), changes = 0, exact = true },
  { "keeps a stack of weights", build = matmul_add({ 4 }, { w = { 2, 3, 4 } }), changes = 0, exact = true },
  { "keeps a vector as weight", build = matmul_add({ 2 }, { w = { 3 } }), changes = 0, exact = true },
  { "keeps a bias that widens the result", build = matmul_add({ 4 }, { w = { 3, 1 } }), changes = 0, exact = true },
  {
    "keeps it when the product has another reader",
    build = function(b)
      local matmul = b.node("MatMul", { b.input("x", { 2, 3 }), b.random("w", { 3, 4 }) })
      b.output(b.node("Add", { matmul, b.random("bias", { 4 }) }))
      b.output(matmul)
    end,
    changes = 0, exact = true,
  },
  {
    "keeps a weight that is computed",
    build = function(b)
      local x = b.input("x", { 4, 4 })
      b.output(b.node("Add", { b.node("MatMul", { x, b.node("Relu", { x }) }), b.random("bias", { 4 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "reads a shared weight and bias where they are",
    build = function(b)
      local x, w, bias = b.input("x", { 2, 4 }), b.random("w", { 4, 4 }), b.random("bias", { 4 })
      x = b.node("Add", { b.node("MatMul", { x, w }), bias })
      b.output(b.node("Add", { b.node("MatMul", { x, w }), bias }))
    end,
    changes = 2, ops = "Gemm Gemm",
  },
})
