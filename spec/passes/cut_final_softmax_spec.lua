local harness = require "spec.support.pass_harness"
local passes = require "espquant.passes"

local function softmax(make)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 3 }) }, { out = "logits" })
    make(b, x, b.node("Softmax", { x }, { name = "softmax", out = "y" }))
  end
end

describe("cut_final_softmax", function()
  it("lets the logits be the output, in its place", function()
    local b = harness.builder()
    softmax(function(_, x, y)
      b.output(b.node("Sigmoid", { x }, { out = "first" }))
      b.output(y)
    end)(b)
    local logits = b.graph:value "logits"
    local wanted = harness.run(b.graph)[2]
    assert.equal(1, passes.get "cut_final_softmax":apply(b.graph))
    assert.equal(0, passes.get "cut_final_softmax":apply(b.graph))
    assert(b.graph:verify())
    assert.equal("Relu Sigmoid", harness.ops(b.graph))
    assert.equal(logits, b.graph.outputs[2])
    local got, names = harness.run(b.graph)
    assert.same({ "first", "logits" }, names)
    assert.same(wanted:argmax():totable(), got[2]:argmax():totable())
  end)
end)

harness.describe("cut_final_softmax", {
  { "keeps one that is read", build = softmax(function(b, _, y) b.output(b.node("Relu", { y })) end), changes = 0,
    exact = true },
  { "keeps one that is read and returned", changes = 0, exact = true,
    build = softmax(function(b, _, y) b.output(b.node("Relu", { y })) b.output(y) end) },
  { "keeps one whose logits are returned too", changes = 0, exact = true,
    build = softmax(function(b, x, y) b.output(x) b.output(y) end) },
  { "keeps one of the model's input", changes = 0, exact = true,
    build = function(b) b.output(b.node("Softmax", { b.input("x", { 2, 3 }) })) end },
})
