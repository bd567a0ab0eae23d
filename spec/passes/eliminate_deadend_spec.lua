local harness = require "spec.support.pass_harness"

harness.describe("eliminate_deadend", {
  {
    "drops nodes that lead nowhere and what only they read",
    build = function(b)
      local x = b.input("x", { 1, 3 })
      b.output(b.node("Relu", { x }, { out = "y" }))
      b.node("Sigmoid", { b.node("Add", { x, b.random("c", { 3 }) }) })
    end,
    changes = 3, exact = true, ops = "Relu",
    check = function(graph) assert.is_nil(graph:value "c") end,
  },
  {
    "keeps unused inputs and whatever is needed",
    build = function(b)
      b.input("unused", { 1, 7 })
      local x = b.node("Add", { b.input("x", { 1, 3 }), b.random("c", { 3 }) })
      b.output(x)
      b.output(b.node("Relu", { x }))
    end,
    changes = 0, exact = true, ops = "Add Relu",
    check = function(graph) assert.equal(2, #graph.inputs) end,
  },
})
