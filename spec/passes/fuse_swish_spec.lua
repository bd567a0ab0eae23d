local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function scalar(b, x) return b.constant(nil, core.tensor_from({ x }, "float32", {})) end

-- x * gate(b, x)
local function gated(gate, opset)
  return function(b)
    b.graph.opset = opset
    local x = b.input("x", { 2, 3 })
    b.output(b.node("Mul", { gate(b, x), x }, { name = "swish", out = "y" }))
  end
end

local function sigmoid(b, x) return b.node("Sigmoid", { x }) end
local function steep(b, x) return b.node("Sigmoid", { b.node("Mul", { x, scalar(b, 1.75) }) }) end
local function hard(alpha, beta)
  return function(b, x) return b.node("HardSigmoid", { x }, { attrs = { alpha = alpha, beta = beta } }) end
end

harness.describe("fuse_swish", {
  { "makes x * Sigmoid(x) one node", build = gated(sigmoid, 24), changes = 1, ops = "Swish" },
  { "keeps the factor inside", build = gated(steep, 24), changes = 1, ops = "Swish",
    check = function(graph) assert.equal(1.75, graph:node "swish":attr "alpha") end },
  { "makes a HardSwish", build = gated(hard(1 / 6, 0.5), 14), changes = 1, ops = "HardSwish" },
  { "keeps it where the opset has no Swish", build = gated(sigmoid, 23), changes = 0, exact = true },
  { "keeps it where the opset has no HardSwish", build = gated(hard(1 / 6, 0.5), 13), changes = 0, exact = true },
  { "keeps another HardSigmoid", build = gated(hard(0.2, 0.5), 14), changes = 0, exact = true },
  { "keeps the Sigmoid of something else", changes = 0, exact = true,
    build = gated(function(b, x) return b.node("Sigmoid", { b.node("Neg", { x }) }) end, 24) },
  { "keeps a factor that adds an axis", changes = 0, exact = true,
    build = gated(function(b, x)
      return b.node("Sigmoid", { b.node("Mul", { x, b.constant("k", core.tensor({ 1, 1, 1 }):fill(2)) }) })
    end, 24) },
  { "keeps a Sigmoid that others read", changes = 0, exact = true,
    build = gated(function(b, x)
      local s = sigmoid(b, x)
      b.output(s)
      return s
    end, 24) },
})
