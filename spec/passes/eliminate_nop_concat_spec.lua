local harness = require "spec.support.pass_harness"

local function concat(two)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 3 }) })
    b.output(b.node("Concat", two and { x, x } or { x }, { attrs = { axis = 1 }, out = "y" }))
  end
end

harness.describe("eliminate_nop_concat", {
  { "drops one of one input", build = concat(), changes = 1, exact = true, ops = "Relu" },
  { "keeps one of two", build = concat(true), changes = 0, exact = true },
  { "keeps one between an input and an output", changes = 0, exact = true, build = function(b)
    b.output(b.node("Concat", { b.input("x", { 2 }) }, { attrs = { axis = 0 }, out = "y" }))
  end },
})
