local harness = require "spec.support.pass_harness"

local function argmax(op, axis, of, opset)
  return function(b)
    b.graph.opset = opset or 13
    local x = b.node(op, { b.input("x", { 2, 3 }) }, { attrs = of and { axis = of } })
    b.output(b.node("ArgMax", { x }, { attrs = axis and { axis = axis } }))
  end
end

harness.describe("eliminate_nop_monotone_argmax", {
  { "drops an Exp", build = argmax("Exp", 1), changes = 1, run = false, ops = "ArgMax" },
  { "drops a Softmax of the same axis", build = argmax("Softmax", 1, -1), changes = 1, run = false, ops = "ArgMax" },
  { "drops a LogSoftmax, by defaults", build = argmax("LogSoftmax", -1), changes = 1, run = false, ops = "ArgMax" },
  { "keeps a Softmax of another axis", build = argmax("Softmax", nil, 1), changes = 0, run = false },
  { "keeps a Softmax before opset 13", build = argmax("Softmax", 1, 1, 11), changes = 0, run = false },
  { "keeps a Log, which has no negative numbers", build = argmax("Log", 1), changes = 0, run = false },
  { "keeps a Neg", build = argmax("Neg", 1), changes = 0, run = false },
})
