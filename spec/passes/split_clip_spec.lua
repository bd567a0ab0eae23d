local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

-- x * 8 -> Clip(low, high) -> y; bounds as inputs (false: left out), or as attributes of opset 8
local function clip(low, high, attrs)
  return function(b)
    b.graph.opset = attrs and 8 or 13
    local x = b.node("Mul", { b.input("x", { 2, 3, 4 }), b.constant("eight", core.tensor_from({ 8 }, "float32", {})) })
    local function bound(name, number)
      return number and b.constant(name, core.tensor_from({ number }, "float32", {}))
    end
    local inputs = attrs and { x } or { x, bound("low", low), bound("high", high) }
    b.output(b.node("Clip", inputs, { name = "clip", out = "y", attrs = attrs }))
  end
end

local function names_stay(graph)
  local list = graph:node_list()
  assert.equal("clip", list[#list].name)
  assert.equal("y", graph.outputs[1].name)
  if list[#list].op_type == "Min" then
    assert.equal("clip_min", list[#list]:input(2).name)
    assert.equal("", list[#list - 1].name) -- onnxruntime refuses two nodes of one name
  end
end

harness.describe("split_clip", {
  { "makes Relu6 a Relu and a Min", build = clip(0, 6), changes = 1, exact = true, ops = "Mul Relu Min",
    check = names_stay },
  { "makes any other a Max and a Min", build = clip(-1.5, 2), changes = 1, exact = true, ops = "Mul Max Min" },
  { "makes one bound one node", build = clip(0, false), changes = 1, exact = true, ops = "Mul Relu",
    check = names_stay },
  { "makes an upper bound a Min", build = clip(false, 3), changes = 1, exact = true, ops = "Mul Min" },
  { "reads attributes of old opsets", build = clip(nil, nil, { min = 0.0, max = 6.0 }), changes = 1, exact = true,
    ops = "Mul Relu Min" },
  { "keeps one without bounds", build = clip(false, false), changes = 0, exact = true },
  {
    "keeps one whose bound is computed",
    build = function(b)
      b.output(b.node("Clip", { b.input("x", { 2, 3 }), b.node("Relu", { b.input("low", {}) }) }))
    end,
    changes = 0, run = false,
  },
  {
    "keeps one of an opset whose Min does not broadcast",
    build = function(b)
      b.graph.opset = 7
      b.output(b.node("Clip", { b.input("x", { 2, 3 }) }, { attrs = { min = 0.0, max = 6.0 } }))
    end,
    changes = 0, exact = true,
  },
})
