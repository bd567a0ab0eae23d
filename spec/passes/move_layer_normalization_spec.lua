local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"

-- x (2,3,8) -> Reshape to (1,6,8,1) -> LayerNormalization -> Reshape to (2,3,8) -> Neg
local function build(o)
  o = o or {}
  return function(b)
    b.graph.opset = 17
    local x = b.input("x", o.shape or { 2, 3, 8 })
    if not o.bare then x = b.node("Reshape", { x, b.integers("split", o.split or { 1, 6, 8, 1 }) }) end
    local inputs = { x, b.random("scale", o.scale or { 8, 1 }), o.bias and b.random("bias", { 8, 1 }) }
    local norm = b.node("LayerNormalization", inputs, { name = "norm", attrs = { axis = o.axis or 2 } })
    if o.other then b.output(norm) end
    b.output(b.node("Neg", { b.node("Reshape", { norm, b.integers("back", o.back or { 2, 3, 8 }) }) }))
  end
end

local MOVED = "Reshape Reshape LayerNormalization Neg"
local function keeps(name, o) return { name, build = build(o), changes = 0, exact = true } end

harness.describe("move_layer_normalization", {
  { "goes behind the Reshape", build = build(), changes = 1, ops = MOVED,
    check = function(graph)
      assert.equal(-1, graph:node "norm":attr "axis")
      assert.same({ 8 }, graph:node "norm":input(2).shape)
    end },
  { "takes its bias along", build = build { bias = true }, changes = 1, ops = MOVED },
  { "knows several axes", build = build { back = { 6, 2, 4 } }, changes = 1, ops = MOVED,
    check = function(graph) assert.equal(-2, graph:node "norm":attr "axis") end },
  { "keeps an open batch open", build = build { shape = { "N", 3, 8 }, split = { 1, -1, 8, 1 }, back = { -1, 3, 8 } },
    changes = 1, ops = MOVED },
  keeps("keeps it where rows would be cut", { back = { 3, 16 } }),
  keeps("keeps a scale that is spread", { scale = { 1 } }),
  keeps("keeps it where no Reshape is in front", { bare = true, shape = { 1, 6, 8, 1 } }),
  keeps("keeps it where others read the result", { other = true }),
})

describe("move_layer_normalization", function()
  it("leaves no Reshape, with the other passes", function()
    local b = harness.builder()
    build { bias = true }(b)
    assert.equal("LayerNormalization Neg", harness.ops((optimizer.optimize(b.graph, nil, { verify = true }))))
  end)
end)
