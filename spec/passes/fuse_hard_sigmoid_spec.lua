local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- body(x, f) -> y with f.add(a, b) ...; numbers become scalars of the shape
local function graph_of(body, options)
  options = options or {}
  return function(b)
    b.graph.opset = options.opset or 13
    local function scalar(x, shape) return b.constant(nil, core.tensor_from({ x }, "float32", shape or {})) end
    local function value(x) return type(x) == "number" and scalar(x, options.shape) or x end
    local function binary(op) return function(p, q) return b.node(op, { value(p), value(q) }) end end
    local f = { add = binary "Add", sub = binary "Sub", mul = binary "Mul", div = binary "Div", b = b }
    function f.clip(x, low, high) return b.node("Clip", { x, scalar(low), scalar(high) }) end
    local x = f.mul(b.input("x", { 2, 5 }), scalar(8))
    b.output(b.node("Neg", { b.node("Neg", { x }) }))
    b.output(body(x, f))
  end
end

local function six(x, f) return f.clip(f.add(x, 3), 0, 6) end

local function ends(op_types, alpha)
  return function(graph)
    local text = harness.ops(graph)
    assert.equal("Mul Neg Neg " .. op_types, text)
    for node in graph:nodes() do
      if node.op_type == "HardSigmoid" then
        assert.is_true(math.abs(node:attr "alpha" - alpha) < 1e-6)
        assert.equal(0.5, node:attr "beta")
      end
    end
  end
end

local one, product = ends("HardSigmoid", 1 / 6), ends("HardSigmoid Mul", 1 / 6)
local function keeps(name, body, options)
  return { name, build = graph_of(body, options), changes = 0, exact = true }
end

harness.describe("fuse_hard_sigmoid", {
  { "knows the form of PyTorch", build = graph_of(function(x, f) return f.div(six(x, f), 6) end), changes = 1,
    check = one },
  { "takes a product for the quotient", changes = 1, check = one,
    build = graph_of(function(x, f) return f.mul(1 / 6, six(x, f)) end) },
  { "takes the summands the other way", changes = 1, check = one,
    build = graph_of(function(x, f) return f.mul(f.clip(f.add(3, x), 0, 6), 1 / 6) end) },
  { "takes a difference", changes = 1, check = one,
    build = graph_of(function(x, f) return f.div(f.clip(f.sub(x, -3), 0, 6), 6) end) },
  { "knows the form of Keras 2", changes = 1, check = ends("HardSigmoid", 0.2),
    build = graph_of(function(x, f) return f.clip(f.add(f.mul(x, 0.2), 0.5), 0, 1) end) },
  { "knows the form of Keras 3", changes = 1, check = one,
    build = graph_of(function(x, f) return f.clip(f.add(f.div(x, 6), 0.5), 0, 1) end) },
  { "multiplies before it divides", changes = 1, check = product,
    build = graph_of(function(x, f) return f.div(f.mul(x, six(x, f)), 6) end) },
  { "divides x", changes = 1, check = product,
    build = graph_of(function(x, f) return f.mul(f.mul(x, 1 / 6), six(x, f)) end) },
  { "takes factors in the other order", changes = 1, check = product,
    build = graph_of(function(x, f) return f.mul(six(x, f), f.div(x, 6)) end) },
  { "multiplies something else", changes = 1,
    build = graph_of(function(x, f) return f.div(f.mul(f.b.input("z", { 3, 2, 5 }), six(x, f)), 6) end) },
  keeps("keeps another divisor", function(x, f) return f.div(six(x, f), 5) end),
  keeps("keeps a Clip from elsewhere", function(x, f) return f.div(f.clip(f.add(x, 3), -1, 6), 6) end),
  keeps("keeps another sum", function(x, f) return f.div(f.clip(f.add(x, 2), 0, 6), 6) end),
  keeps("keeps a negative slope", function(x, f) return f.clip(f.sub(0.5, x), 0, 1) end),
  keeps("keeps a Clip without a sum", function(x, f) return f.clip(x, 0, 1) end),
  keeps("keeps it where 6 is divided", function(x, f) return f.div(6, six(x, f)) end),
  keeps("keeps it with a third factor", function(x, f)
    local z = f.b.input("z", { 2, 5 })
    return f.div(f.mul(f.mul(x, six(x, f)), z), 6)
  end),
  keeps("keeps a Clip that others read", function(x, f)
    local clip = six(x, f)
    f.b.output(clip)
    return f.div(clip, 6)
  end),
  keeps("keeps numbers that add an axis", function(x, f) return f.div(six(x, f), 6) end, { shape = { 1, 1, 1 } }),
  keeps("keeps a divisor per column", function(x, f)
    return f.div(six(x, f), f.b.constant("six", core.tensor({ 5 }):fill(6)))
  end),
})
