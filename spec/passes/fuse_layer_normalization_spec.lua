local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function scalar(b, x) return b.constant(nil, core.tensor_from({ x }, "float32", {})) end

-- ReduceMean in the form of the graph's opset
local function reduce(b, x, axes, keepdims)
  if axes == "pool" then return b.node("GlobalAveragePool", { x }) end
  local attrs, inputs = { keepdims = keepdims }, { x }
  if b.graph.opset >= 18 then inputs[2] = b.integers(nil, axes) else attrs.axes = axes end
  return b.node("ReduceMean", inputs, { attrs = attrs })
end

-- The parts of a decomposed normalization; options: axes, others (of the variance), square ("Mul", "Pow", "twice"),
-- root ("Sqrt", "Pow"), epsilon, keepdims
local function parts(b, x, o)
  if o.pool then o.axes = "pool" end
  local p = { mean = reduce(b, x, o.axes or { -1 }, o.keepdims) }
  p.d = b.node("Sub", { x, p.mean })
  local other = o.square == "twice" and b.node("Sub", { x, reduce(b, x, o.axes or { -1 }) }) or p.d
  local square = o.square == "Pow" and b.node("Pow", { p.d, scalar(b, o.exponent or 2) })
    or b.node("Mul", { p.d, other })
  local epsilon = b.constant(nil, core.tensor_from({ o.epsilon or 1e-5 }, o.dtype or "float32", o.rank or {}))
  p.sum = b.node("Add", { reduce(b, square, o.others or o.axes or { -1 }, o.keepdims), epsilon })
  if o.inverse == "Pow" then return p end
  p.root = o.root == "Pow" and b.node("Pow", { p.sum, scalar(b, 0.5) }) or b.node("Sqrt", { p.sum })
  return p
end

local function quotient(b, x, o)
  local p = parts(b, x, o)
  if o.other then b.output(p[o.other]) end
  if o.inverse == "Div" then return b.node("Mul", { b.node("Div", { scalar(b, 1), p.root }), p.d }) end
  if o.inverse == "Pow" then return b.node("Mul", { p.d, b.node("Pow", { p.sum, scalar(b, -0.5) }) }) end
  if o.inverse then return b.node("Mul", { p.d, b.node("Reciprocal", { p.root }) }) end
  return b.node("Div", { p.d, p.root })
end

-- As TensorFlow writes it: x * k + (bias - mean * k)
local function shifted(b, x, o)
  local p = parts(b, x, o)
  local k = b.node("Div", { scalar(b, 1), p.root })
  if o.scale then k = b.node("Mul", { k, b.random(nil, o.scale) }) end
  local bias, scaled = o.bias and b.random(nil, o.bias), b.node("Mul", { x, k })
  if o.shared then b.output(scaled) end
  local moved = b.node("Mul", { o.negative == "mean" and b.node("Neg", { p.mean }) or p.mean, k })
  if o.negative == "product" then moved = b.node("Neg", { moved }) end
  if not o.negative and not bias then return b.node("Sub", { scaled, moved }) end
  if not o.negative then return b.node("Add", { scaled, b.node("Sub", { bias, moved }) }) end
  return b.node("Add", { scaled, bias and b.node("Add", { bias, moved }) or moved })
end

local function build(o, make)
  return function(b)
    b.graph.opset = o.opset or 17
    local x = b.input("x", o.shape or { 2, 3, 8 })
    local y = (make or quotient)(b, x, o)
    if not make then
      if o.scale then y = b.node("Mul", { y, b.random("scale", o.scale) }) end
      if o.bias then y = b.node("Add", { b.random("bias", o.bias), y }) end
    end
    b.output(b.node("Neg", { y }, { out = "y" }))
  end
end

local function fires(name, o, changes, make)
  return { name, build = build(o, make), changes = changes or 1, ops = "LayerNormalization Neg" }
end

local function keeps(name, o, make) return { name, build = build(o, make), changes = 0, exact = true } end

local ROW = { 8 }

harness.describe("fuse_layer_normalization", {
  fires("knows the form without scale and bias", {}),
  fires("takes over scale and bias", { scale = ROW, bias = ROW }, 3),
  fires("takes squares as powers", { square = "Pow", scale = ROW }, 2),
  fires("takes differences that are computed twice", { square = "twice" }),
  fires("takes roots as powers", { root = "Pow" }),
  fires("multiplies by 1 / root", { inverse = "Div", scale = ROW, bias = ROW }, 3),
  fires("multiplies by a power", { inverse = "Pow" }),
  fires("takes several axes", { axes = { 1, 2 }, scale = { 3, 8 }, bias = ROW }, 3),
  fires("takes axes that are inputs", { opset = 18, axes = { -2, -1 }, others = { 1, 2 }, scale = ROW }, 2),
  fires("takes parameters of higher and lower rank", { scale = { 1, 1, 8 }, bias = {} }, 3),
  fires("takes an open batch", { shape = { "N", 3, 8 }, scale = ROW }, 2),
  fires("knows TensorFlow's form", { scale = ROW, bias = ROW }, 3, shifted),
  fires("knows TensorFlow's form without a scale", { bias = ROW }, 2, shifted),
  fires("knows TensorFlow's form without a bias", { scale = ROW }, 2, shifted),
  fires("knows Keras's form", { scale = ROW, bias = ROW, negative = "mean" }, 3, shifted),
  fires("knows Keras's form without a bias", { scale = ROW, negative = "product" }, 2, shifted),
  fires("takes a Reciprocal", { inverse = "Reciprocal", scale = ROW }, 2),
  {
    "names what it makes, and keeps epsilon",
    build = build { epsilon = 0.25 }, changes = 1,
    check = function(graph)
      local node = graph:node_list()[1]
      assert.same({ 0.25, -1 }, { node:attr "epsilon", node:attr "axis" })
    end,
  },
  {
    "lets a LayerNormalization take what follows",
    build = function(b)
      b.graph.opset = 17
      local y = b.node("LayerNormalization", { b.input("x", { 2, 3, 8 }), b.random("s", ROW), b.random("b", ROW) })
      y = b.node("Div", { b.node("Sub", { y, b.random("shift", { 1, 8 }) }), b.random("by", ROW, 0.5) })
      b.output(y)
    end,
    changes = 2, ops = "LayerNormalization",
  },
  {
    "keeps what belongs to another axis",
    build = function(b)
      b.graph.opset = 17
      local y = b.node("LayerNormalization", { b.input("x", { 2, 3, 8 }), b.random("s", ROW) })
      b.output(b.node("Mul", { y, b.random("k", { 3, 1 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps what adds an axis",
    build = function(b)
      b.graph.opset = 17
      local y = b.node("LayerNormalization", { b.input("x", { 3, 8 }), b.random("s", ROW) })
      b.output(b.node("Mul", { y, b.random("k", { 1, 1, 8 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps a quotient of which it is the divisor",
    build = function(b)
      b.graph.opset = 17
      local y = b.node("LayerNormalization", { b.input("x", { 3, 8 }), b.random("s", ROW) })
      b.output(b.node("Div", { b.random("k", ROW), y }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps what follows where others read it",
    build = function(b)
      b.graph.opset = 17
      local y = b.node("LayerNormalization", { b.input("x", { 3, 8 }), b.random("s", ROW) })
      b.output(y)
      b.output(b.node("Mul", { y, b.random("k", ROW) }))
    end,
    changes = 0, exact = true,
  },
  keeps("keeps it where the opset has none", { opset = 16, scale = ROW }),
  { "moves other axes to the end and back", build = build { axes = { 1 }, scale = { 3, 1 } }, changes = 1,
    ops = "Transpose LayerNormalization Transpose Mul Neg" },
  { "moves the channels of a picture", build = build({ shape = { "N", 3, 5, 4 }, axes = { 1 } }), changes = 1,
    ops = "Transpose LayerNormalization Transpose Neg" },
  fires("takes axes of size 1 along", { shape = { 2, 3, 8, 1 }, axes = { 2 }, scale = { 8, 1 } }, 2),
  fires("takes means of pools", { pool = true, scale = ROW }, 2),
  keeps("keeps open dimensions that are not the last", { shape = { 2, "L", 4 }, axes = { 1 } }),
  keeps("keeps a variance along other axes", { axes = { -1 }, others = { 1 } }),
  keeps("keeps TensorFlow's form where others read a part", { scale = ROW, bias = ROW, shared = true }, shifted),
  keeps("keeps an epsilon that adds an axis", { rank = { 1, 1, 1, 1 } }),
  keeps("keeps another power", { square = "Pow", exponent = 3 }),
  keeps("keeps it where the sum has another reader", { other = "sum" }),
  keeps("keeps it where the root has another reader", { other = "root" }),
  { "keeps an open last dimension", build = build { shape = { 2, "L" } }, changes = 0, exact = true },
  { "keeps an epsilon of another type", build = build { dtype = "float64" }, changes = 0, run = false },
})
