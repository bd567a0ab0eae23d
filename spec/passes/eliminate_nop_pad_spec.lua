local harness = require "spec.support.pass_harness"

-- x -> Relu -> Pad(pads) -> Sigmoid; pads as the input of opset 11
local function pad(pads, attrs)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 1, 2, 3, 3 }) })
    local y = b.node("Pad", { x, b.integers("pads", pads) }, { attrs = attrs })
    b.output(b.node("Sigmoid", { y }, { out = "y" }))
  end
end

-- The attribute of opset 2
local function old_pad(attrs)
  return function(b)
    b.graph.opset = 9
    local x = b.node("Relu", { b.input("x", { 1, 2, 3, 3 }) })
    b.output(b.node("Pad", { x }, { attrs = attrs, out = "y" }))
  end
end

local ZEROS = { 0, 0, 0, 0, 0, 0, 0, 0 }

harness.describe("eliminate_nop_pad", {
  { "drops it with its pads", build = pad(ZEROS), changes = 1, exact = true, ops = "Relu Sigmoid" },
  { "drops it in any mode", build = pad(ZEROS, { mode = "reflect" }), changes = 1, run = false, ops = "Relu Sigmoid" },
  { "drops the form of opset 2", build = old_pad { pads = ZEROS }, changes = 1, run = false, ops = "Relu" },
  { "keeps one that pads", build = pad { 0, 0, 1, 0, 0, 0, 0, 0 }, changes = 0, exact = true },
  { "keeps one that crops", build = pad { 0, 0, 0, 0, 0, 0, -1, 0 }, changes = 0, exact = true },
  { "keeps one without pads", build = old_pad(nil), changes = 0, run = false },
  { "keeps one with pads of text", build = old_pad { pads = { "0", "0" } }, changes = 0, run = false },
  { "keeps one with fractions", build = old_pad { pads = { 0.0, 0.5 } }, changes = 0, run = false },
  {
    "keeps one with computed pads",
    build = function(b)
      local x, pads = b.input("x", { 1, 2 }), b.node("Identity", { b.input("pads", { 4 }, "int64") })
      b.output(b.node("Pad", { x, pads }))
    end,
    changes = 0, run = false,
  },
  {
    "leaves pads alone that another Pad reads",
    build = function(b)
      local pads = b.integers("pads", ZEROS)
      local x = b.node("Relu", { b.input("x", { 1, 2, 3, 3 }) })
      b.output(b.node("Pad", { x, pads }, { out = "y" }))
      b.output(b.node("Pad", { b.graph:value "x", pads }, { out = "z" }))
    end,
    changes = 1, exact = true, ops = "Relu Pad",
    check = function(graph) assert.same(ZEROS, graph:value "pads".constant:totable()) end,
  },
})
