local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x -> Relu -> Min with the constant -> y
local function relu6(list, options)
  options = options or {}
  return function(b)
    b.graph.opset = options.opset or 13
    local relu = b.node("Relu", { b.input("x", { 2, 3 }) })
    local high = b.constant("high", core.tensor_from(list, "float32", options.shape or {}))
    b.output(b.node("Min", options.swap and { high, relu } or { relu, high }, { out = "y" }))
    if options.other then b.output(relu) end
  end
end

harness.describe("fuse_relu_min_into_clip", {
  { "makes a Clip of the two", build = relu6 { 0.5 }, changes = 1, exact = true, ops = "Clip" },
  { "takes the bound in front", build = relu6({ 0.5 }, { swap = true }), changes = 1, exact = true, ops = "Clip" },
  { "takes a bound of some rank", build = relu6({ 0.5 }, { shape = { 1, 1 } }), changes = 1, exact = true,
    ops = "Clip" },
  { "keeps a bound below 0", build = relu6 { -0.5 }, changes = 0, exact = true },
  { "keeps a bound that is no number", build = relu6 { 0 / 0 }, changes = 0, run = false },
  { "keeps a bound per column", build = relu6({ 1, 2, 3 }, { shape = { 3 } }), changes = 0, run = false },
  { "keeps a bound that adds an axis", build = relu6({ 1 }, { shape = { 1, 1, 1 } }), changes = 0, run = false },
  { "keeps it when the Relu has another reader", build = relu6({ 0.5 }, { other = true }), changes = 0, exact = true },
  { "keeps it where Clip's bounds are attributes", build = relu6({ 0.5 }, { opset = 10 }), changes = 0, exact = true },
})
