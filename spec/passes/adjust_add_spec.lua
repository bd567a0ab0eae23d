local harness = require "spec.support.pass_harness"

local function add(swapped, other)
  return function(b)
    local x, c = b.input("x", { 2, 3 }), other and b.input("z", { 3 }) or b.random("c", { 3 })
    b.output(b.node("Add", swapped and { c, x } or { x, c }, { out = "y" }))
  end
end

harness.describe("adjust_add", {
  { "puts the constant second", build = add(true), changes = 1, exact = true, ops = "Add",
    check = function(graph) assert.equal("c", graph:node_list()[1]:input(2).name) end },
  { "keeps one that has it there", build = add(false), changes = 0, exact = true },
  { "keeps one without a constant", build = add(true, true), changes = 0, exact = true },
  { "keeps one of constants", changes = 0, run = false, build = function(b)
    b.output(b.node("Add", { b.random("c", { 3 }), b.random("d", { 3 }) }))
  end },
})
