local harness = require "spec.support.pass_harness"

-- Gemm of a and b, either behind a Transpose where `a` or `b` gives its attributes ({} is the default order)
local function gemm(options)
  return function(b)
    local x, w = b.input("x", options.x or { 3, 2 }), b.random("w", options.w or { 4, 3 })
    if options.a then x = b.node("Transpose", { x }, { attrs = options.a }) end
    if options.b then w = b.node("Transpose", { w }, { attrs = options.b }) end
    b.output(b.node("Gemm", { x, w, b.random("c", { 4 }) }, { name = "gemm", attrs = options.attrs, out = "y" }))
  end
end

local function expect(a, b)
  return function(graph)
    local node = graph:node "gemm"
    assert.same({ a, b }, { node:attr "transA", node:attr "transB" })
  end
end

local SWAP, KEEP = { perm = { 1, 0 } }, { perm = { 0, 1 } }

harness.describe("fuse_transpose_into_gemm", {
  { "absorbs both", build = gemm { a = SWAP, b = SWAP }, changes = 2, ops = "Gemm", check = expect(1, 1) },
  { "absorbs the default order", build = gemm { a = {}, b = {} }, changes = 2, ops = "Gemm", check = expect(1, 1) },
  { "absorbs the left", build = gemm { a = SWAP, attrs = { transB = 1 } }, changes = 1, ops = "Gemm",
    check = expect(1, 1) },
  { "flips back", build = gemm { b = SWAP, w = { 3, 4 }, x = { 2, 3 }, attrs = { transB = 1 } }, changes = 1,
    ops = "Gemm", check = expect(0, 0) },
  { "flips back what is only not zero", build = gemm { b = SWAP, w = { 3, 4 }, x = { 2, 3 }, attrs = { transB = 7 } },
    changes = 1, ops = "Gemm", check = expect(0, 0) },
  {
    "absorbs a chain",
    build = function(b)
      local w = b.random("w", { 3, 4 })
      for _ = 1, 4 do w = b.node("Transpose", { w }, { attrs = SWAP }) end
      b.output(b.node("Gemm", { b.input("x", { 2, 3 }), w }, { name = "gemm" }))
    end,
    changes = 4, ops = "Gemm", check = expect(0, 0),
  },
  {
    "leaves a Transpose to its other readers",
    build = function(b)
      local t = b.node("Transpose", { b.input("x", { 3, 2 }) }, { attrs = SWAP })
      b.output(b.node("Gemm", { t, b.random("w", { 3, 4 }) }, { name = "gemm" }))
      b.output(b.node("Relu", { t }))
      b.output(t)
    end,
    changes = 1, ops = "Transpose Gemm Relu", check = expect(1, 0),
  },
  {
    "absorbs one Transpose on both sides",
    build = function(b)
      local t = b.node("Transpose", { b.input("x", { 3, 3 }) }, { attrs = SWAP })
      b.output(b.node("Gemm", { t, t }, { name = "gemm" }))
    end,
    changes = 2, ops = "Gemm", check = expect(1, 1),
  },
  { "keeps one that keeps the order", build = gemm { a = KEEP, x = { 2, 3 }, attrs = { transB = 1 } }, changes = 0,
    exact = true },
  { "keeps one of more axes", build = gemm { a = { perm = { 1, 0, 2 } } }, changes = 0, run = false },
  { "keeps one whose axes are text", build = gemm { a = { perm = "10" } }, changes = 0, run = false },
  { "keeps it before a transA of text", build = gemm { a = SWAP, attrs = { transA = "1" } }, changes = 0, run = false },
  {
    "keeps one before a MatMul",
    build = function(b)
      b.output(b.node("MatMul", { b.node("Transpose", { b.input("x", { 3, 2 }) }), b.random("w", { 3, 4 }) }))
    end,
    changes = 0, exact = true,
  },
})
