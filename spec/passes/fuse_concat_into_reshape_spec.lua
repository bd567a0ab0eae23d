local harness = require "spec.support.pass_harness"

-- Reshape(x, Concat(parts)); a part is a list, or "computed" for an input of one number
local function reshape(parts, attrs, shape)
  return function(b)
    b.graph.opset = 14
    local x, inputs = b.input("x", { 2, 6 }), {}
    for i, part in ipairs(parts) do
      inputs[i] = part == "computed" and b.input("n" .. i, shape or { 1 }, "int64") or b.integers("c" .. i, part)
    end
    local target = b.node("Concat", inputs, { attrs = { axis = 0 } })
    b.output(b.node("Reshape", { x, target }, { attrs = attrs, name = "r" }))
    b.graph:infer_shapes()
  end
end

local function target(list)
  return function(graph) assert.same(list, graph:node "r":input(2).constant:totable()) end
end

harness.describe("fuse_concat_into_reshape", {
  { "joins constants", build = reshape { { 3 }, { 2, 2 } }, changes = 1, run = false, ops = "Reshape",
    check = target { 3, 2, 2 } },
  { "infers a computed number", build = reshape { "computed", { 4 } }, changes = 1, run = false, ops = "Reshape",
    check = target { -1, 4 } },
  { "keeps two computed numbers", build = reshape { "computed", "computed" }, changes = 0, run = false },
  { "keeps one beside a -1", build = reshape { "computed", { -1 } }, changes = 0, run = false },
  { "keeps several computed numbers", build = reshape({ "computed", { 4 } }, nil, { 2 }), changes = 0, run = false },
  { "keeps allowzero", build = reshape({ "computed", { 4 } }, { allowzero = 1 }), changes = 0, run = false },
})
