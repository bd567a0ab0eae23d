local harness = require "spec.support.pass_harness"

local function slice(dims, starts, ends, steps)
  return function(b)
    local inputs = { b.node("Shape", { b.input("x", dims) }), b.integers("s", starts), b.integers("e", ends) }
    if steps then
      inputs[4], inputs[5] = b.integers("a", { 0 }), b.integers("t", steps)
    end
    b.output(b.node("Cast", { b.node("Slice", inputs) }, { attrs = { to = 1 } }))
  end
end

local function is(expected)
  return function(graph) assert.same(expected, graph:node_list()[1]:input(1).constant:totable()) end
end

local function typed(build)
  return function(b)
    build(b)
    b.graph:infer_shapes()
  end
end

harness.describe("eliminate_slice_after_shape", {
  { "makes it a constant", build = typed(slice({ "N", 3, 4 }, { 1 }, { math.maxinteger })), changes = 1, run = false,
    ops = "Cast", check = is { 3, 4 } },
  { "counts from the end", build = typed(slice({ 2, 3, "W" }, { -3 }, { -1 })), changes = 1, run = false,
    ops = "Cast", check = is { 2, 3 } },
  { "goes backwards", build = typed(slice({ 2, 3, 4 }, { -1 }, { -10 }, { -2 })), changes = 1, run = false,
    ops = "Cast", check = is { 4, 2 } },
  { "keeps an open dimension", build = typed(slice({ "N", 3 }, { 0 }, { 1 })), changes = 0, run = false },
  { "keeps a step of 0", build = slice({ 2, 3 }, { 0 }, { 1 }, { 0 }), changes = 0, run = false },
  { "keeps computed bounds", changes = 0, run = false, build = function(b)
    local s = b.node("Shape", { b.input("x", { 2, 3 }) })
    b.output(b.node("Slice", { s, b.input("s", { 1 }, "int64"), b.integers("e", { 1 }) }))
  end },
})
