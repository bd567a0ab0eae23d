local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x -> Conv -> BatchNormalization -> Relu -> y
local function conv_bn(options)
  options = options or {}
  return function(b)
    local w = b.random("w", options.w or { 4, 3, 3, 3 })
    local inputs = { b.input("x", options.x or { 2, 3, 6, 6 }), w }
    if options.bias then inputs[3] = options.bias(b) end
    local conv = b.node("Conv", inputs, { name = options.name or "conv", attrs = options.attrs, out = "conv_out" })
    local bn = b.batch_norm(conv, options.channels or 4, { attrs = options.bn, out = "bn_out" })
    b.output(b.node("Relu", { bn }, { out = "y" }))
  end
end

local function with_bias(b) return b.random("b", { 4 }) end

-- As conv_bn, then the parameter (a name) is given another tensor.
local function with_parameter(name, tensor)
  return function(b)
    conv_bn { bias = with_bias } (b)
    b.graph:value(name):set_constant(tensor)
  end
end

local function conv_of(graph) return graph:node "conv" end

harness.describe("fuse_bn_into_conv", {
  {
    "folds into weight and bias, and gives a Conv without bias one", build = conv_bn(), changes = 1, ops = "Conv Relu",
    check = function(graph)
      assert.same({ "x", "w", "conv_bias" },
        { conv_of(graph):input(1).name, conv_of(graph):input(2).name, conv_of(graph):input(3).name })
      assert.equal("conv_out", conv_of(graph):output(1).name)
    end,
  },
  { "folds into the bias there is", build = conv_bn { bias = with_bias }, changes = 1, ops = "Conv Relu",
    check = function(graph) assert.equal("b", conv_of(graph):input(3).name) end },
  { "ignores the spatial = 0 of MXNet, whose parameters are one number per channel",
    build = conv_bn { bn = { spatial = 0 } }, changes = 1, ops = "Conv Relu" },
  { "uses epsilon", build = conv_bn { bn = { epsilon = 0.5 } }, changes = 1, ops = "Conv Relu" },
  { "folds into a depthwise Conv", changes = 1, ops = "Conv Relu",
    build = conv_bn { w = { 4, 1, 3, 3 }, x = { 2, 4, 6, 6 }, attrs = { group = 4 } } },
  { "folds into a grouped Conv with strides", changes = 1, ops = "Conv Relu",
    build = conv_bn { w = { 4, 2, 3, 3 }, x = { 2, 4, 6, 6 }, attrs = { group = 2, strides = { 2, 2 } } } },
  { "folds into a Conv of one dimension", changes = 1, ops = "Conv Relu", run = false,
    build = conv_bn { w = { 4, 3, 3 }, x = { 2, 3, 6 } } },
  { "names the bias of a nameless node after its result", build = conv_bn { name = "" }, changes = 1, ops = "Conv Relu",
    check = function(graph) assert.is_not_nil(graph:value "conv_out_bias") end },
  {
    "keeps the name of a graph output",
    build = function(b)
      local conv = b.node("Conv", { b.input("x", { 1, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }) }, { out = "c" })
      b.output(b.batch_norm(conv, 4, { out = "y" }))
    end,
    changes = 1, ops = "Conv",
  },
  {
    "folds one after the other",
    build = function(b)
      local x = b.node("Conv", { b.input("x", { 1, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }) })
      b.output(b.node("Relu", { b.batch_norm(b.batch_norm(x, 4), 4, nil, "second") }))
    end,
    changes = 2, ops = "Conv Relu",
  },
  {
    "leaves weights, biases and parameters alone that others read",
    build = function(b)
      local x, w, bias = b.input("x", { 1, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }), b.random("b", { 4 })
      local bn = b.batch_norm(b.node("Conv", { x, w, bias }, { name = "same" }), 4)
      local parameters = bn.producer.inputs
      b.output(bn)
      parameters[1] = b.node("Conv", { x, w, bias }, { name = "same" })
      b.output(b.node("BatchNormalization", parameters))
      b.output(b.node("Conv", { x, w, bias }, { name = "other" }))
    end,
    changes = 2, ops = "Conv Conv Conv",
    check = function(graph)
      local names = {}
      for node in graph:nodes() do names[#names + 1] = node:input(2).name .. " " .. node:input(3).name end
      assert.same({ "same_weight same_bias", "same_weight_2 same_bias_2", "w b" }, names)
    end,
  },
  {
    "keeps it when the Conv has another reader",
    build = function(b)
      local conv = b.node("Conv", { b.input("x", { 1, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }) })
      b.output(b.node("Add", { b.batch_norm(conv, 4), conv }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps it when the Conv's result is a graph output",
    build = function(b)
      local conv = b.node("Conv", { b.input("x", { 1, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }) })
      b.output(conv)
      b.output(b.batch_norm(conv, 4))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps one without a Conv before it",
    build = function(b) b.output(b.batch_norm(b.node("Relu", { b.input("x", { 1, 4, 2, 2 }) }), 4)) end,
    changes = 0, exact = true,
  },
  {
    "keeps it where the weight is computed",
    build = function(b)
      local w = b.node("Identity", { b.input("w", { 4, 3, 3, 3 }) })
      b.output(b.batch_norm(b.node("Conv", { b.input("x", { 4, 3, 6, 6 }), w }), 4))
    end,
    changes = 0, run = false,
  },
  {
    "keeps it where the bias is computed",
    build = conv_bn { bias = function(b) return b.node("Identity", { b.input("b", { 4 }) }) end },
    changes = 0, run = false,
  },
  {
    "keeps it where a statistic of training is read",
    build = function(b)
      local conv = b.node("Conv", { b.input("x", { 1, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }) })
      local bn = b.make("BatchNormalization", { conv, b.random("s", { 4 }), b.random("o", { 4 }), b.random("m", { 4 }),
        b.random("v", { 4 }, 0.5) }, { outputs = { "y", "mean" } })
      b.output(bn)
      b.output(bn:output(2))
    end,
    changes = 0, run = false,
  },
  { "keeps it in training", build = conv_bn { bn = { training_mode = 1 } }, changes = 0, run = false },
  { "keeps it with an epsilon of text", build = conv_bn { bn = { epsilon = "0.1" } }, changes = 0, run = false },
  { "keeps it with an integer epsilon", build = conv_bn { bn = { epsilon = 1 } }, changes = 0, run = false },
  { "keeps it where the parameters are too few", build = conv_bn { channels = 3 }, changes = 0, run = false },
  { "keeps it where one number stands for all", changes = 0, run = false,
    build = with_parameter("bn_scale", core.tensor { 1 }) },
  { "keeps it where a parameter is a matrix", changes = 0, run = false,
    build = with_parameter("bn_mean", core.tensor { 1, 4 }) },
  { "keeps it where a parameter is a double", changes = 0, run = false,
    build = with_parameter("bn_var", core.tensor({ 4 }, "float64"):fill(1)) },
  { "keeps it where the bias of the Conv has another length", changes = 0, run = false,
    build = with_parameter("b", core.tensor { 1 }) },
  { "keeps it where a variance is negative", changes = 0, run = false,
    build = with_parameter("bn_var", core.tensor_from({ 1, -1, 1, 1 }, "float32")) },
  { "keeps it where a factor is not finite", changes = 0, run = false,
    build = with_parameter("bn_mean", core.tensor_from({ 1, math.huge, 1, 1 }, "float32")) },
})
