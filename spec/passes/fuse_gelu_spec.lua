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

harness.describe("fuse_gelu", {
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
