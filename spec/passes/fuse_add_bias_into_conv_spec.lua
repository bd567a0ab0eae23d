local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- Conv(x, w) + bias of that shape -> y; options: swapped, channels
local function conv_add(shape, options)
  options = options or {}
  return function(b)
    local w = b.random("w", { options.channels or 4, 3, 1, 1 })
    local conv = b.node("Conv", { b.input("x", { 2, 3, 4, 4 }), w }, { name = "conv" })
    local bias = b.random("bias", shape)
    b.output(b.node("Add", options.swapped and { bias, conv } or { conv, bias }, { out = "y" }))
  end
end

local function has_bias(graph)
  assert.same({ 4 }, graph:node "conv":input(3).shape)
  assert.equal("conv_bias", graph:node "conv":input(3).name)
  assert.is_nil(graph:value "bias")
end

harness.describe("fuse_add_bias_into_conv", {
  { "takes (C,1,1)", build = conv_add { 4, 1, 1 }, changes = 1, ops = "Conv", check = has_bias },
  { "takes (1,C,1,1)", build = conv_add { 1, 4, 1, 1 }, changes = 1, ops = "Conv", check = has_bias },
  { "takes it from the left", build = conv_add({ 4, 1, 1 }, { swapped = true }), changes = 1, ops = "Conv",
    check = has_bias },
  { "takes one number", build = conv_add { 1 }, changes = 1, ops = "Conv", check = has_bias },
  { "takes a scalar", build = conv_add {}, changes = 1, ops = "Conv", check = has_bias },
  { "takes one number for one channel", build = conv_add({ 1, 1, 1, 1 }, { channels = 1 }), changes = 1, ops = "Conv" },
  { "keeps (C), which lies along the width", build = conv_add { 4 }, changes = 0, exact = true },
  { "keeps (H,1)", build = conv_add { 4, 1 }, changes = 0, exact = true },
  { "keeps an image", build = conv_add { 4, 4, 4 }, changes = 0, exact = true },
  { "keeps a batch", build = conv_add { 2, 4, 1, 1 }, changes = 0, exact = true },
  { "keeps more channels than the Conv has", changes = 0, exact = true,
    build = conv_add({ 5, 1, 1 }, { channels = 1 }) },
  { "keeps a higher rank", build = conv_add { 1, 1, 4, 1, 1 }, changes = 0, exact = true },
  {
    "keeps it when the Conv has a bias",
    build = function(b)
      local x, w = b.input("x", { 1, 3, 2, 2 }), b.random("w", { 4, 3, 1, 1 })
      local conv = b.node("Conv", { x, w, b.random("own", { 4 }) })
      b.output(b.node("Add", { conv, b.random("bias", { 4, 1, 1 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "takes the place of a bias that is left out",
    build = function(b)
      local x, w = b.input("x", { 1, 3, 2, 2 }), b.random("w", { 4, 3, 1, 1 })
      local conv = b.node("Conv", { x, w, false }, { name = "conv" })
      b.output(b.node("Add", { conv, b.random("bias", { 4, 1, 1 }) }))
    end,
    changes = 1, ops = "Conv", check = has_bias,
  },
  {
    "keeps it when the Conv has another reader",
    build = function(b)
      local conv = b.node("Conv", { b.input("x", { 1, 3, 2, 2 }), b.random("w", { 4, 3, 1, 1 }) })
      b.output(b.node("Add", { conv, b.random("bias", { 4, 1, 1 }) }))
      b.output(b.node("Relu", { conv }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps a sum that is computed",
    build = function(b)
      local x = b.input("x", { 1, 4, 2, 2 })
      b.output(b.node("Add", { b.node("Conv", { x, b.random("w", { 4, 4, 1, 1 }) }), x }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps another type",
    build = function(b)
      local conv = b.node("Conv", { b.input("x", { 1, 3, 2, 2 }), b.random("w", { 4, 3, 1, 1 }) })
      b.output(b.node("Add", { conv, b.constant("bias", core.tensor({ 4, 1, 1 }, "float64")) }))
    end,
    changes = 0, run = false,
  },
  {
    "leaves a shared bias alone",
    build = function(b)
      local x, bias = b.input("x", { 1, 4, 2, 2 }), b.random("bias", { 4, 1, 1 })
      b.output(b.node("Add", { b.node("Conv", { x, b.random("w", { 4, 4, 1, 1 }) }, { name = "conv" }), bias }))
      b.output(b.node("Add", { x, bias }))
    end,
    changes = 1, ops = "Conv Add",
    check = function(graph) assert.same({ 4, 1, 1 }, graph:value "bias".shape) end,
  },
})
