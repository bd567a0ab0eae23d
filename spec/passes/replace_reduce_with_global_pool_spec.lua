local harness = require "spec.support.pass_harness"

local function reduce(op, attrs, options)
  options = options or {}
  return function(b)
    local x = b.input("x", options.shape or { 2, 3, 4, 5 }, options.dtype)
    local inputs = { x }
    if options.axes then
      b.graph.opset = 18
      inputs[2] = options.axes(b)
    end
    b.output(b.node(op, inputs, { name = "mean", out = "y", attrs = attrs }))
  end
end

harness.describe("replace_reduce_with_global_pool", {
  { "pools the mean", build = reduce("ReduceMean", { axes = { 2, 3 } }), changes = 1, ops = "GlobalAveragePool" },
  { "pools the maximum, axes counted from the end", build = reduce("ReduceMax", { axes = { -1, -2 } }), changes = 1,
    exact = true, ops = "GlobalMaxPool" },
  { "keeps one whose axes go", build = reduce("ReduceMean", { axes = { 2, 3 }, keepdims = 0 }), changes = 0,
    exact = true },
  { "reads the axes that are an input", changes = 1, ops = "GlobalAveragePool",
    build = reduce("ReduceMean", {}, { axes = function(b) return b.integers("axes", { 2, 3 }) end }) },
  { "keeps axes that are computed", changes = 0, run = false,
    build = reduce("ReduceMean", {}, { axes = function(b) return b.input("axes", { 2 }, "int64") end }) },
  { "keeps an empty tensor", build = reduce("ReduceMean", { axes = { 2, 3 } }, { shape = { 2, 3, 0, 5 } }), changes = 0,
    run = false },
  { "keeps other axes", build = reduce("ReduceMean", { axes = { 1, 2 } }), changes = 0, exact = true },
  { "keeps some of the axes", build = reduce("ReduceMean", { axes = { 3 } }), changes = 0, exact = true },
  { "keeps a mean of everything", build = reduce "ReduceMean", changes = 0, exact = true },
  { "keeps a matrix", build = reduce("ReduceMean", { axes = { 1 } }, { shape = { 2, 3 } }), changes = 0, exact = true },
  { "keeps integers", build = reduce("ReduceMax", { axes = { 2, 3 } }, { dtype = "int32" }), changes = 0, run = false },
})
