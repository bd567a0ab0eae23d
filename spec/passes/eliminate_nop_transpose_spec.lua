local harness = require "spec.support.pass_harness"

local function transpose(attrs, shape)
  return function(b)
    local x = b.node("Relu", { b.input("x", shape or { 2, 3, 4 }) })
    b.output(b.node("Sigmoid", { b.node("Transpose", { x }, { attrs = attrs }) }, { out = "y" }))
  end
end

harness.describe("eliminate_nop_transpose", {
  { "drops one that keeps the order", build = transpose { perm = { 0, 1, 2 } }, changes = 1, exact = true,
    ops = "Relu Sigmoid" },
  { "keeps one that reverses", build = transpose(nil), changes = 0, exact = true },
  { "keeps one that swaps", build = transpose { perm = { 0, 2, 1 } }, changes = 0, exact = true },
  { "keeps one that swaps axes of length 1", changes = 0, exact = true,
    build = transpose({ perm = { 1, 0 } }, { 1, 1 }) },
  {
    "keeps one whose list does not fit",
    build = function(b)
      b.output(b.node("Transpose", { b.input("x", { 2, 3, 4 }) }, { attrs = { perm = { 0, 1 } } }))
      b.output(b.node("Relu", { b.graph:value "x" }))
    end,
    changes = 0, run = false,
  },
  { "keeps one whose axes are no integers", build = transpose { perm = { 0.0, 1.0, 2.5 } }, changes = 0, run = false },
  { "keeps one whose axes are no list", build = transpose { perm = 0 }, changes = 0, run = false },
})
