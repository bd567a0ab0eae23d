local harness = require "spec.support.pass_harness"

local function names(graph)
  local list = {}
  for _, values in ipairs { graph.inputs, graph.outputs } do
    for _, value in ipairs(values) do list[#list + 1] = value.name end
  end
  return table.concat(list, " ")
end

local function add(a, c, y)
  return function(b)
    local x = b.node("Add", { b.input(a, { 3 }), b.input(c, { 3 }) }, { out = "between" })
    b.output(b.node("Relu", { x }, { out = y }))
  end
end

harness.describe("rename_input_output", {
  { "numbers them", build = add("x:0", "z", "y"), changes = 3, run = false, ops = "Add Relu",
    check = function(graph) assert.equal("input_0 input_1 output_0", names(graph)) end },
  { "swaps names that are taken", build = add("input_1", "input_0", "output_0"), changes = 1, run = false,
    check = function(graph) assert.equal("input_0 input_1 output_0", names(graph)) end },
  { "keeps names that fit", build = add("input_0", "input_1", "output_0"), changes = 0, exact = true },
})
