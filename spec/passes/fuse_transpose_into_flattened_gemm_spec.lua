local harness = require "spec.support.pass_harness"

-- x (2x3x4x5) -> Transpose -> Reshape or Flatten -> Gemm or MatMul -> y
local function dense(options)
  return function(b)
    local x = b.input("x", { 2, 3, 4, 5 })
    local last = b.node("Transpose", { x }, { attrs = { perm = options.perm or { 0, 2, 3, 1 } } })
    local flat = options.target and b.node("Reshape", { last, b.integers("shape", options.target) })
      or b.node("Flatten", { last }, { attrs = { axis = options.axis } })
    local w = b.random("w", options.w or { 60, 7 })
    b.output(b.node(options.op or "MatMul", { flat, w }, { name = "dense", out = "y", attrs = options.attrs }))
    if options.other then b.output(flat) end
  end
end

harness.describe("fuse_transpose_into_flattened_gemm", {
  { "orders the rows of a MatMul", build = dense { target = { -1, 60 } }, changes = 1, ops = "Reshape MatMul" },
  { "orders those of a Gemm", build = dense { op = "Gemm" }, changes = 1, ops = "Flatten Gemm" },
  { "orders the columns where they are transposed", changes = 1, ops = "Flatten Gemm",
    build = dense { op = "Gemm", w = { 7, 60 }, attrs = { transB = 1 } } },
  { "takes other orders", build = dense { perm = { 0, 3, 1, 2 } }, changes = 1, ops = "Flatten MatMul" },
  { "keeps it where the batch moves", build = dense { perm = { 1, 0, 2, 3 }, w = { 40, 7 } }, changes = 0,
    exact = true },
  { "keeps rows of another length", build = dense { target = { -1, 30 }, w = { 30, 7 } }, changes = 0, exact = true },
  { "keeps another axis", build = dense { axis = 2, w = { 15, 7 } }, changes = 0, exact = true },
  { "keeps it when others read the rows", build = dense { other = true }, changes = 0, exact = true },
})
