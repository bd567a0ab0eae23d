local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x (2,4,5,5) -> ConvTranspose -> BatchNormalization -> Relu; options: group, each (channels of a group), bias, other
local function build(o)
  o = o or {}
  return function(b)
    local group, each = o.group or 1, o.each or 3
    local inputs = { b.input("x", { 2, 4, 5, 5 }), b.random("w", { 4, each, 3, 3 }) }
    if o.bias then inputs[3] = b.random("b", { group * each }) end
    local conv = b.node("ConvTranspose", inputs, { name = "up", attrs = { group = group, strides = { 2, 2 } } })
    if o.other then b.output(conv) end
    b.output(b.node("Relu", { b.batch_norm(conv, o.channels or group * each) }, { out = "y" }))
  end
end

harness.describe("fuse_bn_into_conv_transpose", {
  { "scales by output channel and adds a bias", build = build(), changes = 1, ops = "ConvTranspose Relu",
    check = function(graph) assert.equal("up_bias", graph:node "up":input(3).name) end },
  { "folds into a bias", build = build { bias = true }, changes = 1, ops = "ConvTranspose Relu" },
  { "knows the channels of groups", build = build { group = 2, each = 3, bias = true }, changes = 1,
    ops = "ConvTranspose Relu" },
  { "tells output from input channels", build = build { each = 4 }, changes = 1, ops = "ConvTranspose Relu" },
  { "folds where each channel is a group", build = build { group = 4, each = 1 }, changes = 1,
    ops = "ConvTranspose Relu" },
  { "keeps it when others read the ConvTranspose", build = build { other = true }, changes = 0, exact = true },
  { "keeps it where the parameters are too many", build = build { channels = 5 }, changes = 0, run = false },
  {
    "keeps a weight of another type",
    build = function(b)
      local w = b.constant("w", core.tensor({ 4, 3, 3, 3 }, "float64"))
      b.output(b.batch_norm(b.node("ConvTranspose", { b.input("x", { 2, 4, 5, 5 }), w }), 3))
    end,
    changes = 0, run = false,
  },
  { "keeps groups that do not divide the channels", build = build { group = 3, each = 1 }, changes = 0, run = false },
})
