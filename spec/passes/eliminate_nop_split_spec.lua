local harness = require "spec.support.pass_harness"

local function split(outputs)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 4 }) })
    b.output(b.node("Sigmoid", { b.node("Split", { x }, { attrs = { axis = 1 }, outputs = outputs }) }))
  end
end

harness.describe("eliminate_nop_split", {
  { "drops one into one part", build = split { "a" }, changes = 1, run = false, ops = "Relu Sigmoid" },
  { "keeps one into two", build = split { "a", "b" }, changes = 0, run = false },
})
