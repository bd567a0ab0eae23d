local harness = require "spec.support.pass_harness"

-- Slice(Slice(x, first), second), each { start, end, axis, step }
local function slices(first, second, shared)
  return function(b)
    local x = b.input("x", { 4, 5, 6 })
    for i, s in ipairs { first, second } do
      local inputs = { x }
      for k = 1, #s do inputs[k + 1] = b.integers(i .. "_" .. k, { s[k] }) end
      x = b.node("Slice", inputs, { out = i == 2 and "y" or "z" })
      if i == 1 and shared then b.output(x) end
    end
    b.output(x)
  end
end

harness.describe("fuse_consecutive_slices", {
  { "makes them one", build = slices({ 1, 3, 0 }, { 0, 4, 1 }), changes = 1, exact = true, ops = "Slice" },
  { "keeps steps", build = slices({ -1, -9, 1, -2 }, { 0, 5, -1 }), changes = 1, exact = true, ops = "Slice" },
  { "knows that no axes are the first ones", build = slices({ 1, 3 }, { 0, 4, 2, 3 }), changes = 1, exact = true,
    ops = "Slice" },
  { "keeps the same axis", build = slices({ 1, 3, 0 }, { 0, 1, -3 }), changes = 0, exact = true },
  { "keeps one that another node reads", build = slices({ 1, 3, 0 }, { 0, 4, 1 }, true), changes = 0, exact = true },
  { "serves all readers, if they are such Slices", changes = 2, exact = true, ops = "Slice Slice", build = function(b)
    local x = b.node("Slice", { b.input("x", { 4, 5 }), b.integers("s", { 1 }), b.integers("e", { 3 }) })
    for i = 0, 1 do
      b.output(b.node("Slice", { x, b.integers(nil, { i }), b.integers(nil, { 5 }), b.integers(nil, { 1 }),
        b.integers(nil, { 2 }) }))
    end
  end },
  { "keeps it where one reader is none", changes = 0, exact = true, build = function(b)
    local x = b.node("Slice", { b.input("x", { 4, 5 }), b.integers("s", { 1 }), b.integers("e", { 3 }) })
    b.output(b.node("Slice", { x, b.integers(nil, { 1 }), b.integers(nil, { 5 }), b.integers(nil, { 1 }) }))
    b.output(b.node("Relu", { x }))
  end },
  { "joins attributes of old opsets", changes = 1, exact = true, ops = "Slice", build = function(b)
    b.graph.opset = 9
    local x = b.node("Slice", { b.input("x", { 4, 5 }) }, { attrs = { starts = { 1 }, ends = { 3 } } })
    b.output(b.node("Slice", { x }, { attrs = { starts = { 0 }, ends = { -1 }, axes = { 1 } }, out = "y" }))
  end },
  { "keeps computed bounds", changes = 0, run = false, build = function(b)
    local x = b.node("Slice", { b.input("x", { 4, 5 }), b.integers("s", { 1 }), b.input("e", { 1 }, "int64") })
    b.output(b.node("Slice", { x, b.integers("t", { 1 }), b.integers("f", { 2 }), b.integers("a", { 1 }) }))
  end },
})
