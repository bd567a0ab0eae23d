local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function scalar(b, x) return b.constant(nil, core.tensor_from({ x }, "float32", {})) end

local NORMS = {
  ReduceSumSquare = function(b, x, attrs)
    return b.node("Sqrt", { b.node("ReduceSumSquare", { x }, { attrs = attrs }) })
  end,
  ReduceSum = function(b, x, attrs)
    return b.node("Sqrt", { b.node("ReduceSum", { b.node("Mul", { x, x }), b.integers(nil, attrs.axes) },
      { attrs = { keepdims = attrs.keepdims } }) })
  end,
}

-- options: op, axes, keepdims, low, bound ("Clip", "Max"), high, expand (a shape, or "Shape")
local function build(o)
  return function(b)
    local x, op = b.input("x", o.shape or { 2, 3, 4 }), o.op or "ReduceL2"
    local attrs = { axes = o.axes or { -1 }, keepdims = o.keepdims }
    local norm = NORMS[op] and NORMS[op](b, x, attrs) or b.node(op, { x }, { attrs = attrs })
    if o.low then norm = b.node(o.bound or "Clip", { norm, scalar(b, o.low), o.high and scalar(b, o.high) }) end
    if o.expand then norm = b.node("Expand", { norm, b.integers(nil, o.expand) }) end
    b.output(b.node("Div", o.swap and { norm, x } or { x, norm }, { name = "norm", out = "y" }))
  end
end

local function fires(name, o, p, axis)
  return { name, build = build(o), changes = 1, ops = "LpNormalization", check = function(graph)
    local node = graph:node "norm"
    assert.same({ p or 2, axis or 2 }, { node:attr "p", node:attr "axis" })
  end }
end

local function keeps(name, o) return { name, build = build(o), changes = 0, exact = true } end

harness.describe("fuse_lp_normalization", {
  fires("divides by the root of squares", {}),
  fires("divides by the sum of sizes", { op = "ReduceL1", axes = { 1 } }, 1, 1),
  fires("knows the form of PyTorch", { low = 1e-12, expand = { 2, 3, 4 } }),
  fires("knows a Max", { low = 1e-12, bound = "Max", axes = { 0 } }, 2, 0),
  fires("spells out the squares", { op = "ReduceSum" }),
  fires("spells out the root", { op = "ReduceSumSquare" }),
  fires("takes an open batch", { shape = { "N", 3, 4 } }),
  keeps("keeps a bound that numbers reach", { low = 1e-6 }),
  keeps("keeps a bound from above", { low = 1e-12, high = 5 }),
  keeps("keeps several axes", { axes = { 1, 2 } }),
  keeps("keeps a sum of maxima", { op = "ReduceMax" }),
  keeps("keeps an Expand that enlarges", { shape = { 1, 3, 4 }, expand = { 2, 3, 4 } }),
  keeps("keeps a norm that is divided", { swap = true }),
  keeps("keeps a norm without its axis", { shape = { 3, 3 }, keepdims = 0 }),
})
