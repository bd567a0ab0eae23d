local harness = require "spec.support.pass_harness"

-- Concat(x, Concat(x', x)), the axes as given
local function concats(inner, outer, shared)
  return function(b)
    local x = b.input("x", { 2, 3 })
    local c = b.node("Concat", { b.node("Relu", { x }), x }, { attrs = { axis = inner }, out = "c" })
    b.output(b.node("Concat", { x, c }, { attrs = { axis = outer }, out = "y" }))
    if shared then b.output(c) end
  end
end

harness.describe("fuse_consecutive_concats", {
  { "makes them one", build = concats(1, 1), changes = 1, exact = true, ops = "Relu Concat",
    check = function(graph) assert.equal(3, #graph:node_list()[2].inputs) end },
  { "counts axes from the end", build = concats(1, -1), changes = 1, exact = true, ops = "Relu Concat" },
  { "keeps one that is there twice", changes = 0, exact = true, build = function(b)
    local x = b.input("x", { 2, 3 })
    local c = b.node("Concat", { x, x }, { attrs = { axis = 1 } })
    b.output(b.node("Concat", { c, c }, { attrs = { axis = 1 } }))
  end },
  { "keeps another axis", changes = 0, exact = true, build = function(b)
    local x = b.input("x", { 2, 3 })
    local c = b.node("Concat", { x, x }, { attrs = { axis = 0 } })
    b.output(b.node("Concat", { c, c }, { attrs = { axis = 1 } }))
  end },
  { "keeps one that another node reads", build = concats(1, 1, true), changes = 0, exact = true },
  { "keeps one of different axes", changes = 0, exact = true, build = function(b)
    local x = b.input("x", { 2, 2 })
    local c = b.node("Concat", { x, x }, { attrs = { axis = 0 } })
    b.output(b.node("Concat", { c, b.input("z", { 4, 3 }) }, { attrs = { axis = 1 } }))
  end },
})
