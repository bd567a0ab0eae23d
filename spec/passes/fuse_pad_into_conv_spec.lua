local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x (1x2x5x5) -> Pad -> Conv (3x3) -> y; pads as the input of opset 11, or options.pad_attrs as in opset 2
local function pad_conv(pads, options)
  options = options or {}
  return function(b)
    local inputs = { b.input("x", options.shape or { 1, 2, 5, 5 }) }
    if pads then inputs[2] = b.integers("pads", pads) end
    if options.value then inputs[3] = b.constant("value", options.value) end
    local pad = b.node("Pad", inputs, { attrs = options.pad_attrs })
    local weight = b.random("w", options.w or { 3, 2, 3, 3 })
    b.output(b.node("Conv", { pad, weight, b.random("b", { 3 }) }, { name = "conv", attrs = options.attrs, out = "y" }))
  end
end

local function scalar(x, dtype) return core.tensor_from({ x }, dtype or "float32", {}) end

local function expect(pads)
  return function(graph) assert.same(pads, graph:node "conv":attr "pads") end
end

local SPATIAL = { 0, 0, 1, 2, 0, 0, 0, 1 }

harness.describe("fuse_pad_into_conv", {
  { "gives the Conv its pads", build = pad_conv(SPATIAL), changes = 1, ops = "Conv", check = expect { 1, 2, 0, 1 } },
  { "adds them to those there are", build = pad_conv(SPATIAL, { attrs = { pads = { 1, 0, 1, 0 } } }), changes = 1,
    ops = "Conv", check = expect { 2, 2, 1, 1 } },
  { "may pad more than the kernel is wide", build = pad_conv { 0, 0, 4, 0, 0, 0, 0, 5 }, changes = 1, ops = "Conv" },
  { "keeps the pads of what is empty", build = pad_conv({ 0, 0, 0, 2, 0, 0, 0, 2 }, { shape = { 1, 2, 5, 0 } }),
    changes = 0, run = false },
  { "takes a written zero", build = pad_conv(SPATIAL, { value = scalar(0) }), changes = 1, ops = "Conv" },
  { "keeps strides and dilations", build = pad_conv(SPATIAL, { attrs = { strides = { 2, 1 }, dilations = { 1, 2 } } }),
    changes = 1, ops = "Conv" },
  { "takes the form of opset 2", build = pad_conv(nil, { pad_attrs = { pads = SPATIAL, value = 0.0 } }), changes = 1,
    run = false, ops = "Conv", check = expect { 1, 2, 0, 1 } },
  {
    "takes two in a row",
    build = function(b)
      local x = b.input("x", { 1, 2, 5, 5 })
      for i = 1, 2 do x = b.node("Pad", { x, b.integers("pads" .. i, SPATIAL) }) end
      b.output(b.node("Conv", { x, b.random("w", { 3, 2, 3, 3 }) }, { name = "conv" }))
    end,
    changes = 2, ops = "Conv", check = expect { 2, 4, 0, 2 },
  },
  {
    "gives it to all Convs that share the Pad",
    build = function(b)
      local pad = b.node("Pad", { b.input("x", { 1, 2, 5, 5 }), b.integers("pads", SPATIAL) })
      local first = b.node("Conv", { pad, b.random("w", { 3, 2, 3, 3 }) }, { name = "conv" })
      b.output(b.node("Add", { first, b.node("Conv", { pad, b.random("v", { 3, 2, 3, 3 }) }) }, { out = "y" }))
    end,
    changes = 2, ops = "Conv Conv Add", check = expect { 1, 2, 0, 1 },
  },
  { "keeps another filling", build = pad_conv(SPATIAL, { value = scalar(0.5) }), changes = 0, exact = true },
  { "keeps a filling of another type", build = pad_conv(SPATIAL, { value = scalar(0, "int32") }), changes = 0,
    run = false },
  { "keeps the filling of opset 2", build = pad_conv(nil, { pad_attrs = { pads = SPATIAL, value = 1.0 } }), changes = 0,
    run = false },
  { "keeps another mode", build = pad_conv(SPATIAL, { pad_attrs = { mode = "reflect" } }), changes = 0, run = false },
  { "keeps pads of channels", build = pad_conv({ 0, 1, 0, 0, 0, 0, 0, 0 }, { w = { 3, 3, 3, 3 } }), changes = 0,
    exact = true },
  { "keeps pads of the batch", build = pad_conv { 1, 0, 0, 0, 0, 0, 0, 0 }, changes = 0, run = false },
  { "keeps one that crops", build = pad_conv { 0, 0, -1, 0, 0, 0, 0, 0 }, changes = 0, exact = true },
  { "keeps absurd pads", build = pad_conv { 0, 0, math.maxinteger, 0, 0, 0, 0, 0 }, changes = 0, run = false },
  { "keeps pads of another rank", build = pad_conv { 0, 0, 1, 0, 0, 1 }, changes = 0, run = false },
  { "keeps it before auto_pad", build = pad_conv(SPATIAL, { attrs = { auto_pad = "SAME_UPPER" } }), changes = 0,
    exact = true },
  { "keeps it where the Conv's pads are text", build = pad_conv(SPATIAL, { attrs = { pads = { "1" } } }), changes = 0,
    run = false },
  { "keeps it where the Conv's pads are too few", build = pad_conv(SPATIAL, { attrs = { pads = { 1, 1 } } }),
    changes = 0, run = false },
  { "keeps pads that are no integers", build = pad_conv(nil, { pad_attrs = { pads = { 0.0, 0.5 } } }), changes = 0,
    run = false },
  {
    "keeps pads of float32",
    build = function(b)
      local pads = b.constant("pads", core.tensor { 8 })
      local pad = b.node("Pad", { b.input("x", { 1, 2, 5, 5 }), pads })
      b.output(b.node("Conv", { pad, b.random("w", { 3, 2, 3, 3 }) }))
    end,
    changes = 0, run = false,
  },
  {
    "keeps it when the Pad has another reader",
    build = function(b)
      local pad = b.node("Pad", { b.input("x", { 1, 2, 5, 5 }), b.integers("pads", SPATIAL) })
      b.output(b.node("Conv", { pad, b.random("w", { 3, 2, 3, 3 }) }))
      b.output(b.node("Relu", { pad }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps it when the Pad's result is a graph output",
    build = function(b)
      local pad = b.node("Pad", { b.input("x", { 1, 2, 5, 5 }), b.integers("pads", SPATIAL) })
      b.output(pad)
      b.output(b.node("Conv", { pad, b.random("w", { 3, 2, 3, 3 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps pads of named axes",
    build = function(b)
      local pad = b.node("Pad", { b.input("x", { 1, 2, 5, 5 }), b.integers("pads", { 1, 1 }), false,
        b.integers("axes", { 2 }) })
      b.output(b.node("Conv", { pad, b.random("w", { 3, 2, 3, 3 }) }))
    end,
    changes = 0, run = false,
  },
  {
    "keeps pads that are computed",
    build = function(b)
      local pads = b.node("Identity", { b.input("pads", { 8 }, "int64") })
      local pad = b.node("Pad", { b.input("x", { 1, 2, 5, 5 }), pads })
      b.output(b.node("Conv", { pad, b.random("w", { 3, 2, 3, 3 }) }))
    end,
    changes = 0, run = false,
  },
})
