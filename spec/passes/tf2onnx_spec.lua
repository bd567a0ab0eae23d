--- The passes together, on a file that tf2onnx wrote.

local harness = require "spec.support.pass_harness"
local onnx = require "espquant.onnx"
local optimizer = require "espquant.optimizer"

describe("a channels-last model of tf2onnx", function()
  it("has no Transpose left, and the same results", function()
    local model = assert(onnx.load "examples/import/mnist_tf_conv.onnx")
    local graph = optimizer.optimize(model)
    assert.is_truthy(harness.ops(model):find("Transpose", 1, true))
    assert.is_nil(harness.ops(graph):find("Transpose", 1, true))
    assert.is_true(harness.difference(harness.run(model)[1], harness.run(graph)[1]) < 1e-5)
  end)
end)
