local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- As tf2onnx writes it, x (1,3,8,1); options: opset, shape, axes, count, units (scale 1 and bias 0), reshape, other
local function build(o)
  o = o or {}
  return function(b)
    b.graph.opset = o.opset or 17
    local shape, list = o.shape or { 1, 3, 8, 1 }, o.axes or { 0, 2, 3 }
    local x, attrs = b.input("x", shape), { axes = list }
    local mean = b.node("ReduceMean", { x }, { attrs = attrs })
    local squares = b.node("ReduceSumSquare", { b.node("Sub", { o.other or x, mean }) },
      { attrs = { axes = list, keepdims = o.keepdims or 0 } })
    local variance = b.node("Div", { squares, b.constant(nil, core.tensor({}):fill(o.count or 8)) })
    local flat = o.reshape and b.node("Reshape", { mean, b.integers(nil, { -1 }) })
      or b.node("Squeeze", { mean, b.integers(nil, list) })
    local scale, bias = b.random("scale", { 3 }), b.random("bias", { 3 })
    if o.units then scale, bias = b.constant(nil, core.tensor({ 3 }):fill(1)), b.constant(nil, core.tensor { 3 }) end
    local y = b.node("BatchNormalization", { x, scale, bias, o.mean and b.random("mean", { 3 }) or flat, variance },
      { attrs = { epsilon = 0.001 } })
    b.output(b.node("Neg", { y }))
  end
end

local function keeps(name, o) return { name, build = build(o), changes = 0, exact = true } end

harness.describe("fuse_bn_of_own_statistics", {
  { "makes a LayerNormalization", build = build { units = true }, changes = 1, ops = "LayerNormalization Neg" },
  { "keeps scale and bias", build = build(), changes = 1, ops = "LayerNormalization Mul Add Neg" },
  { "takes a mean that is reshaped", build = build { units = true, reshape = true }, changes = 1,
    ops = "LayerNormalization Neg" },
  { "moves axes to the end where others are in between", build = build { shape = { 2, 3, 4, 1 }, units = true },
    changes = 1, ops = "Transpose LayerNormalization Transpose Neg" },
  keeps("keeps it where the opset has none", { opset = 16 }),
  keeps("keeps another count", { count = 7 }),
  keeps("keeps a mean from elsewhere", { mean = true }),
  { "keeps statistics along other axes", build = build { axes = { 0, 2 }, shape = { 1, 3, 8 }, count = 4 }, changes = 0,
    exact = true },
  { "keeps an open dimension", build = build { shape = { "N", 3, 8, 1 } }, changes = 0, run = false },
})
