local harness = require "spec.support.pass_harness"

local function alone(shape, options)
  options = options or {}
  return function(b)
    local x = b.node("Relu", { b.input("x", shape) })
    b.output(b.batch_norm(x, options.channels or 4, { name = "bn", out = "y", attrs = options.attrs }))
  end
end

harness.describe("replace_bn_with_conv", {
  { "makes a depthwise Conv of it", build = alone { 2, 4, 3, 3 }, changes = 1, ops = "Relu Conv",
    check = function(graph)
      assert.equal(4, graph:node "bn":attr "group")
      assert.same({ 4, 1, 1, 1 }, graph:node "bn":input(2).constant.shape)
    end },
  { "uses epsilon", build = alone({ 2, 4, 3, 3 }, { attrs = { epsilon = 0.5 } }), changes = 1, ops = "Relu Conv" },
  { "takes one axis", build = alone { 2, 4, 6 }, changes = 1, ops = "Relu Conv" },
  { "keeps an empty tensor", build = alone { 2, 4, 0, 3 }, changes = 0, run = false },
  { "keeps a tensor of no channels", build = alone({ 2, 0, 3, 3 }, { channels = 0 }), changes = 0, run = false },
  { "keeps a matrix", build = alone { 2, 4 }, changes = 0, exact = true },
  { "keeps it where the channels are not known", build = alone { 2, "C", 3, 3 }, changes = 0, run = false },
  { "keeps it in training", build = alone({ 2, 4, 3, 3 }, { attrs = { training_mode = 1 } }), changes = 0,
    run = false },
  { "keeps parameters of another length", build = alone({ 2, 4, 3, 3 }, { channels = 3 }), changes = 0, run = false },
})
