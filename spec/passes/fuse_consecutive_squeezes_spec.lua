local harness = require "spec.support.pass_harness"

local function twice(a, c, shared)
  return function(b)
    local x = b.node("Squeeze", { b.input("x", { 1, 2, 1, 3, 1 }), b.integers("a", a) }, { out = "z" })
    b.output(b.node("Squeeze", { x, b.integers("b", c) }, { out = "y" }))
    if shared then b.output(x) end
  end
end

harness.describe("fuse_consecutive_squeezes", {
  { "joins the axes", build = twice({ 0 }, { 1, -1 }), changes = 1, exact = true, ops = "Squeeze",
    check = function(graph) assert.same({ 0, 2, 4 }, graph:node_list()[1]:input(2).constant:totable()) end },
  { "leaves the first where it is read", build = twice({ 0 }, { 1, -1 }, true), changes = 1, exact = true,
    ops = "Squeeze Squeeze" },
  { "joins attributes of old opsets", changes = 1, exact = true, ops = "Squeeze", build = function(b)
    b.graph.opset = 11
    local x = b.node("Squeeze", { b.input("x", { 1, 2, 1, 3, 1 }) }, { attrs = { axes = { 0 } } })
    b.output(b.node("Squeeze", { x }, { attrs = { axes = { 1 } }, out = "y" }))
  end, check = function(graph) assert.same({ 0, 2 }, graph:node_list()[1]:attr "axes") end },
  { "keeps one without axes", changes = 0, exact = true, build = function(b)
    local x = b.node("Squeeze", { b.input("x", { 1, 2, 1 }) })
    b.output(b.node("Squeeze", { x }))
  end },
  { "keeps computed axes", changes = 0, run = false, build = function(b)
    local x = b.node("Squeeze", { b.input("x", { 1, 2, 1, 3, 1 }), b.integers("a", { 0 }) })
    b.output(b.node("Squeeze", { x, b.input("axes", { 1 }, "int64") }))
  end },
  { "keeps what has no shape", changes = 0, run = false, build = function(b)
    local x = b.node("Squeeze", { b.input("x"), b.integers("a", { 0 }) })
    b.output(b.node("Squeeze", { x, b.integers("b", { 1 }) }))
  end },
})
