local harness = require "spec.support.pass_harness"

local function pair(first, second, both_outputs, op)
  return function(b)
    local x, all = b.input("x", { 2, 3 }), {}
    for i, attrs in ipairs { first, second } do
      all[i] = b.node(op or "LeakyRelu", { x }, { attrs = attrs, name = "n" .. i })
      if both_outputs then b.output(all[i]) end
    end
    if not both_outputs then b.output(b.node("Add", all, { out = "y" })) end
  end
end

harness.describe("eliminate_common_subexpression", {
  { "shares the first", build = pair({ alpha = 0.5 }, { alpha = 0.5 }), changes = 1, exact = true,
    ops = "LeakyRelu Add" },
  { "follows chains", changes = 2, exact = true, ops = "Relu Sigmoid Add", build = function(b)
    local x, all = b.input("x", { 2, 3 }), {}
    for i = 1, 2 do all[i] = b.node("Sigmoid", { b.node("Relu", { x }) }) end
    b.output(b.node("Add", all, { out = "y" }))
  end },
  { "lets an output keep its name", changes = 1, exact = true, ops = "Relu Neg", build = function(b)
    local x = b.input("x", { 2, 3 })
    b.output(b.node("Neg", { b.node("Relu", { x }) }, { out = "z" }))
    b.output(b.node("Relu", { x }, { out = "y" }))
  end },
  { "keeps another attribute", build = pair({ alpha = 0.5 }, { alpha = 0.25 }), changes = 0, exact = true },
  { "keeps two graph outputs", build = pair({ alpha = 0.5 }, { alpha = 0.5 }, true), changes = 0, exact = true },
  { "keeps random numbers", build = pair({}, {}, false, "RandomNormalLike"), changes = 0, run = false },
  { "keeps other inputs", changes = 0, exact = true, build = function(b)
    b.output(b.node("Add", { b.node("Relu", { b.input("x", { 2 }) }), b.node("Relu", { b.input("z", { 2 }) }) }))
  end },
  { "shares all parts of a Split", changes = 1, run = false, ops = "Split Add", build = function(b)
    local x = b.input("x", { 4 })
    b.make("Split", { x }, { outputs = { "a", "b" } })
    local second = b.make("Split", { x }, { outputs = { "c", "d" } })
    b.output(b.node("Add", { b.graph:value "a", second:output(2) }))
  end },
})
