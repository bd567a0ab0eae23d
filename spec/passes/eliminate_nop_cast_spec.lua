local harness = require "spec.support.pass_harness"

local function cast(to, from)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 3 }) })
    if from then x = b.node("Cast", { x }, { attrs = { to = from } }) end
    b.output(b.node("Identity", { b.node("Cast", { x }, { attrs = { to = to } }) }, { out = "y" }))
  end
end

harness.describe("eliminate_nop_cast", {
  { "drops float32 to float32", build = cast(1), changes = 1, exact = true, ops = "Relu Identity" },
  { "keeps float32 to int64", build = cast(7), changes = 0, exact = true },
  { "drops the second of two", build = cast(7, 7), changes = 1, exact = true, ops = "Relu Cast Identity" },
  { "keeps one of an unknown type", changes = 0, run = false, build = function(b)
    b.output(b.node("Cast", { b.node("Unheard", { b.input("x", { 2 }) }) }, { attrs = { to = 1 } }))
  end },
})
