local harness = require "spec.support.pass_harness"

harness.describe("eliminate_unused_initializer", {
  {
    "drops constants that nobody reads",
    build = function(b)
      b.random("a", { 3 })
      b.integers("b", { 1, 2 })
      b.output(b.node("Add", { b.input("x", { 1, 3 }), b.random("c", { 3 }) }))
    end,
    changes = 2, exact = true, ops = "Add",
    check = function(graph)
      assert.is_nil(graph:value "a")
      assert.is_nil(graph:value "b")
      assert.is_table(graph:value "c".shape)
    end,
  },
  {
    "keeps a constant that is a graph output, or is read by a node that leads nowhere",
    build = function(b)
      b.output(b.node("Relu", { b.input("x", { 1, 3 }) }))
      b.output(b.random("answer", { 3 }))
      b.node("Relu", { b.random("c", { 3 }) })
      b.input("unused", { 1 })
    end,
    changes = 0, run = false,
  },
})
