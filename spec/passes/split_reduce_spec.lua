local harness = require "spec.support.pass_harness"

local function reduce(op, attrs, options)
  return function(b)
    local inputs = { b.input("x", options and options.shape or { 2, 3, 4, 5 }) }
    if options and options.axes then
      b.graph.opset = 18
      inputs[2] = b.integers("axes", options.axes)
    end
    b.output(b.node(op, inputs, { name = "mean", out = "y", attrs = attrs }))
  end
end

harness.describe("split_reduce", {
  { "puts the Flatten apart", build = reduce("ReduceMean", { axes = { 3, 2 }, keepdims = 0 }), changes = 1,
    exact = true, ops = "ReduceMean Flatten",
    check = function(graph) assert.equal(1, graph:node "mean":attr "keepdims") end },
  { "reads the axes that are an input", changes = 1, exact = true, ops = "ReduceMax Flatten",
    build = reduce("ReduceMax", { keepdims = 0 }, { axes = { -1, -2 } }) },
  { "keeps one that keeps its axes", build = reduce("ReduceMean", { axes = { 2, 3 } }), changes = 0, exact = true },
  { "keeps other axes", build = reduce("ReduceMean", { axes = { 1, 2 }, keepdims = 0 }), changes = 0, exact = true },
  { "keeps some of the axes", build = reduce("ReduceMean", { axes = { 3 }, keepdims = 0 }), changes = 0, exact = true },
  { "keeps a matrix", build = reduce("ReduceMean", { axes = { 1 }, keepdims = 0 }, { shape = { 2, 3 } }), changes = 0,
    exact = true },
})
