local harness = require "spec.support.pass_harness"

local function flatten(shape, attrs)
  return function(b)
    local x = b.node("Relu", { b.input("x", shape) })
    b.output(b.node("Sigmoid", { b.node("Flatten", { x }, { attrs = attrs }) }, { out = "y" }))
  end
end

harness.describe("eliminate_nop_flatten", {
  { "drops it behind a matrix", build = flatten({ 2, 5 }), changes = 1, exact = true, ops = "Relu Sigmoid" },
  { "drops it with a symbolic batch", build = flatten({ "N", 5 }), changes = 1, exact = true, ops = "Relu Sigmoid" },
  { "drops it with a negative axis", build = flatten({ 2, 5 }, { axis = -1 }), changes = 1, exact = true },
  { "keeps it behind four dimensions", build = flatten { 2, 5, 1, 1 }, changes = 0, exact = true },
  { "keeps it behind one dimension", build = flatten { 5 }, changes = 0, exact = true },
  { "keeps it on axis 0", build = flatten({ 2, 5 }, { axis = 0 }), changes = 0, exact = true },
  { "keeps it on axis 2", build = flatten({ 2, 5 }, { axis = 2 }), changes = 0, exact = true },
  { "keeps it with an axis that is no integer", build = flatten({ 2, 5 }, { axis = "1" }), changes = 0, run = false },
  {
    "keeps it where the rank is not known",
    build = function(b)
      local odd = b.node("Unheard", { b.input("x", { 2, 5 }) })
      b.output(b.node("Flatten", { odd }))
    end,
    changes = 0, run = false,
  },
})
