local harness = require "spec.support.pass_harness"

local function expand(shape, target)
  return function(b)
    local x = b.node("Relu", { b.input("x", shape) })
    b.output(b.node("Expand", { x, b.integers("shape", target) }, { out = "y" }))
  end
end

harness.describe("eliminate_nop_expand", {
  { "drops one to the same shape", build = expand({ 2, 3 }, { 2, 3 }), changes = 1, exact = true, ops = "Relu" },
  { "drops one to ones", build = expand({ "N", 3 }, { 1, 1 }), changes = 1, exact = true, ops = "Relu" },
  { "drops one of a lower rank", build = expand({ 2, 3 }, { 3 }), changes = 1, exact = true, ops = "Relu" },
  { "keeps one that repeats", build = expand({ 2, 1 }, { 2, 3 }), changes = 0, exact = true },
  { "keeps one that adds an axis", build = expand({ 2, 3 }, { 1, 2, 3 }), changes = 0, exact = true },
  { "keeps one of a dimension that is open", build = expand({ "N", 3 }, { 2, 3 }), changes = 0, exact = true },
  { "keeps one whose shape is computed", changes = 0, run = false, build = function(b)
    b.output(b.node("Expand", { b.node("Relu", { b.input("x", { 2 }) }), b.input("s", { 1 }, "int64") }))
  end },
})
