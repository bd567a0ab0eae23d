local harness = require "spec.support.pass_harness"

local function reshape(shape, target, attrs)
  return function(b)
    b.graph.opset = 14
    local x = b.node("Relu", { b.input("x", shape) })
    b.output(b.node("Reshape", { x, b.integers("shape", target) }, { attrs = attrs, out = "y" }))
  end
end

harness.describe("eliminate_nop_reshape", {
  { "drops one to the same shape", build = reshape({ 2, 3 }, { 2, 3 }), changes = 1, exact = true, ops = "Relu" },
  { "drops one that copies and infers", build = reshape({ 2, 3 }, { 0, -1 }), changes = 1, exact = true, ops = "Relu" },
  { "drops one that leaves the batch open", build = reshape({ "N", 3 }, { -1, 3 }), changes = 1, exact = true,
    ops = "Relu" },
  { "drops one that copies the batch", build = reshape({ "N", 3, 4 }, { 0, 3, -1 }), changes = 1, exact = true,
    ops = "Relu" },
  { "keeps another shape", build = reshape({ 2, 3 }, { 3, 2 }), changes = 0, exact = true },
  { "keeps another rank", build = reshape({ 2, 3 }, { 1, 2, 3 }), changes = 0, exact = true },
  { "keeps what two open dimensions may change", build = reshape({ "N", "M" }, { 4, -1 }), changes = 0, run = false },
  { "keeps a 0 that is a zero", build = reshape({ 2, 3 }, { 0, -1 }, { allowzero = 1 }), changes = 0, run = false },
  { "keeps a computed shape", changes = 0, run = false, build = function(b)
    b.output(b.node("Reshape", { b.node("Relu", { b.input("x", { 2 }) }), b.input("s", { 1 }, "int64") }))
  end },
})
