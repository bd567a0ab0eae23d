local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function scalar(b, x) return b.constant(nil, core.tensor_from({ x }, "float32", {})) end

local function shifted(b, x, root, one)
  local scaled = b.node("Div", { x, scalar(b, root or math.sqrt(2)) })
  return b.node("Add", { b.node("Erf", { scaled }), scalar(b, one or 1) })
end

local function build(body, opset)
  return function(b)
    b.graph.opset = opset or 20
    local x = b.input("x", { 2, 5 })
    b.output(body(b, x, function(p, q) return b.node("Mul", { p, q }) end))
  end
end

local function torch(root, one, half)
  return function(b, x, mul) return mul(mul(x, shifted(b, x, root, one)), scalar(b, half or 0.5)) end
end

-- The cube of x in three spellings, the argument of Tanh in two.
local CUBES = {
  pow = function(b, x) return b.node("Pow", { x, scalar(b, 3) }) end,
  left = function(_, x, mul) return mul(mul(x, x), x) end,
  right = function(b, x, mul) return mul(x, b.node("Pow", { x, scalar(b, 2) })) end,
}

local function tanh(options)
  return function(b, x, mul)
    local function add(p, q) return b.node("Add", options.swap and { q, p } or { p, q }) end
    local slope = scalar(b, options.slope or math.sqrt(2 / math.pi))
    local inner
    if options.factored then
      inner = mul(mul(x, slope), add(scalar(b, 1), mul(mul(scalar(b, 0.044715), x), x)))
    else
      inner = mul(slope, add(x, mul(scalar(b, 0.044715), CUBES[options.cube or "pow"](b, x, mul))))
    end
    local curve = b.node("Tanh", { inner })
    if options.other then b.output(options.other == "inner" and inner or curve) end
    local sum = add(curve, scalar(b, 1))
    if options.divide then return b.node("Div", { mul(x, sum), scalar(b, 2) }) end
    return options.last and mul(x, mul(sum, scalar(b, 0.5))) or mul(mul(scalar(b, 0.5), x), sum)
  end
end

local function is_tanh(graph)
  assert.equal("Gelu", harness.ops(graph))
  for node in graph:nodes() do assert.equal("tanh", node:attr "approximate") end
end

harness.describe("fuse_gelu", {
  { "knows the form by Tanh", build = build(tanh {}), changes = 1, check = is_tanh },
  { "takes products for the power", build = build(tanh { cube = "left" }), changes = 1, check = is_tanh },
  { "takes a square and a product for the power", build = build(tanh { cube = "right" }), changes = 1,
    check = is_tanh },
  { "takes x out of the sum", build = build(tanh { factored = true }), changes = 1, check = is_tanh },
  { "takes summands in the other order", build = build(tanh { swap = true, factored = true }), changes = 1,
    check = is_tanh },
  { "halves at the end", build = build(tanh { last = true }), changes = 1, check = is_tanh },
  { "divides by 2", build = build(tanh { divide = true }), changes = 1, check = is_tanh },
  { "keeps another slope", build = build(tanh { slope = 0.8 }), changes = 0, exact = true },
  { "keeps a Tanh that others read", build = build(tanh { other = "curve" }), changes = 0, exact = true },
  { "keeps it where others read what Tanh does", build = build(tanh { other = "inner" }), changes = 0, exact = true },
  { "keeps the form by Tanh where the opset has no Gelu", build = build(tanh {}, 19), changes = 0, exact = true },
  { "keeps numbers that add an axis", changes = 0, exact = true,
    build = build(function(b, x, mul)
      return mul(mul(x, shifted(b, x)), b.constant("half", core.tensor({ 1, 1, 1 }):fill(0.5)))
    end) },
  { "knows the form of PyTorch", build = build(torch()), changes = 1, ops = "Gelu" },
  { "halves x first", build = build(function(b, x, mul) return mul(mul(scalar(b, 0.5), x), shifted(b, x)) end),
    changes = 1, ops = "Gelu" },
  { "halves the sum first", build = build(function(b, x, mul) return mul(x, mul(scalar(b, 0.5), shifted(b, x))) end),
    changes = 1, ops = "Gelu" },
  { "takes a product for the quotient", changes = 1, ops = "Gelu",
    build = build(function(b, x, mul)
      local erf = b.node("Erf", { mul(x, scalar(b, 1 / math.sqrt(2))) })
      return mul(mul(x, b.node("Add", { erf, scalar(b, 1) })), scalar(b, 0.5))
    end) },
  { "keeps it where the opset has no Gelu", build = build(torch(), 19), changes = 0, exact = true },
  { "keeps another root", build = build(torch(1.5)), changes = 0, exact = true },
  { "keeps another sum", build = build(torch(nil, 2)), changes = 0, exact = true },
  { "keeps another factor", build = build(torch(nil, nil, 0.25)), changes = 0, exact = true },
})
