local harness = require "spec.support.pass_harness"

local function shape(dims, attrs, is_output)
  return function(b)
    b.graph.opset = 15
    local s = b.node("Shape", { b.input("x", dims) }, { attrs = attrs })
    b.output(is_output and s or b.node("Cast", { s }, { attrs = { to = 1 } }))
  end
end

local function is(list)
  return function(graph) assert.same(list, graph:node_list()[1]:input(1).constant:totable()) end
end

harness.describe("eliminate_shape_op", {
  { "makes it a constant", build = shape { 2, 3 }, changes = 1, run = false, ops = "Cast", check = is { 2, 3 } },
  { "takes a part of it", build = shape({ "N", 3, 4 }, { start = -2 }), changes = 1, run = false, ops = "Cast",
    check = is { 3, 4 } },
  { "stops before the end", build = shape({ 2, 3, "W" }, { ["end"] = 2 }), changes = 1, run = false, ops = "Cast",
    check = is { 2, 3 } },
  { "keeps an open dimension", build = shape { "N", 3 }, changes = 0, run = false },
  { "keeps a rank that is not known", build = shape(nil), changes = 0, run = false },
  { "keeps one that makes an output", build = shape({ 2, 3 }, nil, true), changes = 0, run = false },
})
