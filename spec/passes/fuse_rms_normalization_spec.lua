local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function scalar(b, x) return b.constant(nil, core.tensor_from({ x }, "float32", {})) end

-- options: opset, shape, axes, square, inverse, scale, centred, other
local function build(o)
  return function(b)
    b.graph.opset = o.opset or 23
    local x = b.input("x", o.shape or { 2, 3, 8 })
    local square = o.square and b.node("Pow", { x, scalar(b, 2) }) or b.node("Mul", { x, x })
    local mean = b.node("ReduceMean", { square, b.integers(nil, o.axes or { -1 }) })
    local epsilon = b.constant(nil, core.tensor(o.rank or {}):fill(o.epsilon or 1e-5))
    local root = b.node("Sqrt", { b.node("Add", { epsilon, mean }) })
    if o.other then b.output(root) end
    local y = o.inverse and b.node("Mul", { x, b.node("Div", { scalar(b, 1), root }) }) or b.node("Div", { x, root })
    if o.scale then y = b.node("Mul", { b.random("scale", o.scale), y }) end
    if o.bias then y = b.node("Add", { b.random("bias", o.bias), y }) end
    b.output(b.node("Neg", { y }))
  end
end

local function fires(name, o, changes, ops)
  return { name, build = build(o), changes = changes, ops = ops or "RMSNormalization Neg" }
end

harness.describe("fuse_rms_normalization", {
  fires("makes one node", {}, 1),
  fires("takes over the scale", { scale = { 8 } }, 2),
  fires("takes squares as powers, and 1 / root", { square = true, inverse = true, scale = { 1, 8 } }, 2),
  fires("takes several axes", { axes = { 2, 1 }, scale = { 3, 8 } }, 2),
  fires("leaves a bias, which it has not", { scale = { 8 }, bias = { 8 } }, 2, "RMSNormalization Add Neg"),
  { "keeps it where the opset has none", build = build { opset = 22 }, changes = 0, exact = true },
  fires("moves other axes to the end and back", { axes = { 1 } }, 1, "Transpose RMSNormalization Transpose Neg"),
  { "keeps an epsilon that adds an axis", build = build { rank = { 1, 1, 1, 1 } }, changes = 0, exact = true },
  { "keeps a negative epsilon", build = build { epsilon = -1e-5 }, changes = 0, run = false },
  { "keeps it where the root has another reader", build = build { other = true }, changes = 0, exact = true },
})
