local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

local function gather(dims, indices, axis, is_scalar)
  return function(b)
    local s = b.node("Shape", { b.input("x", dims) })
    local i = b.constant("i", core.tensor_from(indices, "int64", is_scalar and {} or nil))
    b.output(b.node("Cast", { b.node("Gather", { s, i }, { attrs = { axis = axis } }) }, { attrs = { to = 1 } }))
  end
end

local function is(expected)
  return function(graph) assert.same(expected, graph:node_list()[1]:input(1).constant:totable()) end
end

harness.describe("eliminate_shape_gather", {
  { "makes it a constant", build = gather({ "N", 3, 4 }, { 1, -1 }, 0), changes = 1, run = false, ops = "Cast",
    check = is { 3, 4 } },
  { "makes a scalar", build = gather({ "N", 3, 4 }, { 2 }, 0, true), changes = 1, run = false, ops = "Cast",
    check = is(4) },
  { "keeps an open dimension", build = gather({ "N", 3 }, { 0 }, 0), changes = 0, run = false },
  { "keeps an index out of range", build = gather({ 2, 3 }, { 2 }, 0), changes = 0, run = false },
  { "keeps another axis", build = gather({ 2, 3 }, { 1 }, 1), changes = 0, run = false },
  { "keeps computed indices", changes = 0, run = false, build = function(b)
    b.output(b.node("Gather", { b.node("Shape", { b.input("x", { 2 }) }), b.input("i", { 1 }, "int64") }))
  end },
})
