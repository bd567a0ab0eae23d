local harness = require "spec.support.pass_harness"

local function reduce(op, axes, back, keep, shared)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 3, 4 }) })
    local r = b.node(op, { x }, { attrs = { axes = axes, keepdims = keep or 0 } })
    b.output(b.node("Unsqueeze", { r, b.integers("axes", back) }, { out = "y" }))
    if shared then b.output(r) end
  end
end

harness.describe("fuse_consecutive_reduce_unsqueeze", {
  { "lets the reduction keep its axis", build = reduce("ReduceMax", { 1 }, { 1 }), changes = 1, exact = true,
    ops = "Relu ReduceMax", check = function(graph) assert.same({ 2, 1, 4 }, graph.outputs[1].shape) end },
  { "counts from the end, in any order", build = reduce("ReduceMean", { 2, -2 }, { -1, 1 }), changes = 1, exact = true,
    ops = "Relu ReduceMean" },
  { "reads axes that are an input", changes = 1, exact = true, ops = "ReduceSum", build = function(b)
    local r = b.node("ReduceSum", { b.input("x", { 2, 3 }), b.integers("a", { 1 }) }, { attrs = { keepdims = 0 } })
    b.output(b.node("Unsqueeze", { r, b.integers("b", { 1 }) }, { out = "y" }))
  end },
  { "knows that no axes are all", build = reduce("ReduceMin", nil, { 0, 1, 2 }), changes = 1, exact = true,
    ops = "Relu ReduceMin" },
  { "keeps another axis", build = reduce("ReduceMax", { 1 }, { 0 }), changes = 0, exact = true },
  { "keeps a reduction that keeps its axes", build = reduce("ReduceMax", { 1 }, { 1 }, 1), changes = 0, exact = true },
  { "keeps one that somebody reads", build = reduce("ReduceMax", { 1 }, { 1 }, 0, true), changes = 0, exact = true },
})
