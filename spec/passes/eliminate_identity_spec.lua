local harness = require "spec.support.pass_harness"

-- x -> Relu -> Identity -> Relu -> y
local function between(b)
  local x = b.node("Relu", { b.input("x", { 1, 3 }) })
  b.output(b.node("Sigmoid", { b.node("Identity", { x }) }, { out = "y" }))
end

harness.describe("eliminate_identity", {
  { "drops one between two nodes", build = between, changes = 1, exact = true, ops = "Relu Sigmoid" },
  {
    "drops a chain that makes a graph output, which keeps its name",
    build = function(b)
      local y = b.node("Relu", { b.input("x", { 1, 3 }) }, { out = "r" })
      for _ = 1, 2 do y = b.node("Identity", { y }) end
      b.output(b.node("Identity", { y }, { out = "y" }))
    end,
    changes = 3, exact = true, ops = "Relu",
  },
  {
    "lets several readers read its input, be it a graph input or a constant",
    build = function(b)
      local x, c = b.node("Identity", { b.input("x", { 1, 3 }) }), b.node("Identity", { b.random("c", { 3 }) })
      b.output(b.node("Add", { x, c }))
      b.output(b.node("Mul", { c, x }))
    end,
    changes = 2, exact = true, ops = "Add Mul",
  },
  {
    "keeps one from a graph input to a graph output",
    build = function(b) b.output(b.node("Identity", { b.input("x", { 1, 3 }) })) end,
    changes = 0, exact = true, ops = "Identity",
  },
  {
    "keeps one between two graph outputs",
    build = function(b)
      local r = b.node("Relu", { b.input("x", { 1, 3 }) })
      b.output(r)
      b.output(b.node("Identity", { r }))
    end,
    changes = 0, exact = true, ops = "Relu Identity",
  },
  {
    "keeps one that makes a constant a graph output",
    build = function(b)
      b.output(b.node("Relu", { b.input("x", { 1, 3 }) }))
      b.output(b.node("Identity", { b.random("c", { 3 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps what only is called so",
    build = function(b)
      b.output(b.node("Identity", { b.node("Relu", { b.input("x", { 1 }) }) }, { domain = "my" }))
    end,
    changes = 0, run = false,
  },
})
