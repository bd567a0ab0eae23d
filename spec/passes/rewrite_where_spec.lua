local harness = require "spec.support.pass_harness"

local function where(op)
  return function(b)
    local x, z = b.input("x", { 2, 3 }), b.input("z", { 2, 3 })
    local c = b.node("Less", { x, z })
    if op then c = b.node(op, { c }) end
    b.output(b.node("Where", { c, x, z }, { out = "y" }))
  end
end

harness.describe("rewrite_where", {
  { "swaps instead of negating", build = where "Not", changes = 1, exact = true, ops = "Less Where" },
  { "keeps another condition", build = where(), changes = 0, exact = true },
  { "leaves a Not that another node reads", changes = 1, exact = true, ops = "Less Not Where Cast", build = function(b)
    local x, z = b.input("x", { 2, 3 }), b.input("z", { 2, 3 })
    local c = b.node("Not", { b.node("Less", { x, z }) })
    b.output(b.node("Where", { c, x, z }, { out = "y" }))
    b.output(b.node("Cast", { c }, { attrs = { to = 1 }, out = "n" }))
  end },
})
