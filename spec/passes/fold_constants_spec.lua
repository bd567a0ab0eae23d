local harness = require "spec.support.pass_harness"

harness.describe("fold_constants", {
  {
    "computes what depends on no input, a chain at once, and leaves no constant over",
    build = function(b)
      local w = b.node("Relu", { b.node("Add", { b.random("a", { 3 }), b.random("b", { 3 }) }) })
      b.output(b.node("Mul", { b.input("x", { 2, 3 }), w }, { out = "y" }))
    end,
    changes = 2, exact = true, ops = "Mul",
  },
  {
    "keeps constants that others read",
    build = function(b)
      local a = b.random("a", { 3 })
      b.output(b.node("Mul", { b.node("Add", { b.input("x", { 2, 3 }), a }), b.node("Relu", { a }) }, { out = "y" }))
    end,
    changes = 1, exact = true, ops = "Add Mul",
  },
  {
    "keeps what would make a large file of a small one",
    build = function(b)
      local w = b.node("Expand", { b.random("a", { 1 }), b.integers("shape", { 1 << 28 }) })
      b.output(b.node("Add", { b.input("x", { 1 << 28 }), w }, { out = "y" }))
    end,
    changes = 0, run = false,
  },
  {
    "keeps what depends on an input",
    build = function(b) b.output(b.node("Add", { b.input("x", { 2, 3 }), b.random("a", { 3 }) })) end,
    changes = 0, exact = true,
  },
  {
    "keeps operators that it does not know",
    build = function(b)
      b.output(b.node("Add", { b.input("x", { 2, 3 }), b.node("Unheard", { b.random("a", { 3 }) }) }))
    end,
    changes = 0, run = false,
  },
})
