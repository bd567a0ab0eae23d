local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

local function constant(attrs, is_output)
  return function(b)
    local c = b.node("Constant", {}, { attrs = attrs })
    b.output(is_output and c or b.node("Add", { b.input("x", { 3 }), c }, { out = "y" }))
  end
end

local three = core.tensor_from({ 1, 2, 3 }, "float32")

harness.describe("extract_constant_to_initializer", {
  { "makes the node a constant", build = constant { value = three }, changes = 1, run = false, ops = "Add",
    check = function(graph) assert.is_true((three:equal(graph:node_list()[1]:input(2).constant))) end },
  { "keeps another form", build = constant { value_string = "text" }, changes = 0, run = false },
  { "keeps one that makes an output", build = constant({ value = three }, true), changes = 0, run = false },
})
