local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"

local function build(opset, body)
  return function(b)
    b.graph.opset = opset
    b.output((body or function(_, x) return b.node("Relu", { x }) end)(b, b.input("x", { 2, 4, 6 })))
  end
end

local function is(opset, ir_version)
  return function(graph) assert.same({ opset, ir_version }, { graph.opset, graph.ir_version }) end
end

local function raises(name, opset, body)
  return { name, build = build(opset, body), changes = 1, exact = true, check = is(24, 12) }
end

harness.describe("raise_opset", {
  raises("raises what means the same", 13),
  raises("makes axes of a reduction an input", 13, function(b, x)
    return b.node("ReduceMax", { x }, { attrs = { axes = { -1, 1 }, keepdims = 0 } })
  end),
  raises("keeps a reduction along all axes", 13, function(b, x) return b.node("ReduceMean", { x }) end),
  raises("says in how many parts a Split cuts", 13, function(b, x)
    return b.make("Split", { x }, { attrs = { axis = 1 }, outputs = { "a", "b" } }):output(2)
  end),
  raises("keeps the sizes of a Split", 13, function(b, x)
    return b.make("Split", { x, b.integers(nil, { 1, 3 }) }, { attrs = { axis = 1 }, outputs = { "a", "b" } }):output(2)
  end),
  raises("raises a BatchNormalization", 13, function(b, x) return b.batch_norm(x, 4) end),
  { "raises what it has no row for", changes = 1, run = false, check = is(24, 12),
    build = build(13, function(b, x) return b.node("Sign", { x }) end) },
  { "leaves other domains alone", changes = 1, run = false, check = is(24, 12),
    build = build(13, function(b, x) return b.node("Own", { x }, { domain = "com.example" }) end) },
  { "keeps an opset below 13", build = build(12), changes = 0, exact = true, check = is(12, 8) },
  { "keeps an opset that is new enough", build = build(25), changes = 0, exact = true, check = is(25, 8) },
  { "keeps an operator that changed", changes = 0, run = false, check = is(13, 8),
    build = build(13, function(b, x) return b.node("GridSample", { x, x }) end) },
  { "keeps an operator that nobody knows", changes = 0, run = false, check = is(13, 8),
    build = build(13, function(b, x) return b.node("Unheard", { x }) end) },
})

describe("raise_opset", function()
  it("lets the other passes make newer operators", function()
    local b = harness.builder()
    local x = b.input("x", { 2, 4 })
    b.output(b.node("Mul", { x, b.node("Sigmoid", { x }) }))
    local names = optimizer.with_passes({ "raise_opset" }, (optimizer.get_available_passes()))
    assert.equal("Swish", harness.ops((optimizer.optimize(b.graph, names, { verify = true }))))
  end)
end)
