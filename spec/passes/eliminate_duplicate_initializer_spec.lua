local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function constants(graph)
  local names = {}
  for _, value in ipairs(graph:values()) do
    if value.constant then names[#names + 1] = value.name end
  end
  return table.concat(names, " ")
end

-- (x + first) * second -> y
local function two(first, second)
  return function(b)
    local x = b.node("Add", { b.input("x", { 1, 2 }), b.constant("first", first) })
    b.output(b.node("Mul", { x, b.constant("second", second) }, { out = "y" }))
  end
end

local f32 = core.tensor_from({ 1, -2 }, "float32")

harness.describe("eliminate_duplicate_initializer", {
  {
    "keeps the first of equal constants", build = two(f32, f32:copy()), changes = 1, exact = true, ops = "Add Mul",
    check = function(graph) assert.equal("first", constants(graph)) end,
  },
  {
    "merges any number of them, also in one node",
    build = function(b)
      local x = b.input("x", { 1, 2 })
      for i = 1, 5 do x = b.node("Add", { x, b.constant("c" .. i, f32:copy()) }) end
      b.output(b.node("Add", { x, b.node("Mul", { b.constant("c6", f32), b.constant("c7", f32) }) }))
    end,
    changes = 6, exact = true,
    check = function(graph) assert.equal("c1", constants(graph)) end,
  },
  {
    "merges among many that begin alike",
    build = function(b)
      local x = b.input("x", { 40 })
      for i = 1, 20 do
        local t = core.tensor { 40 } + 1
        t:slice(40, 40):fill(i % 10)
        x = b.node("Mul", { x, b.constant("c" .. i, t) })
      end
      b.output(x)
    end,
    changes = 10, exact = true,
    check = function(graph) assert.equal("c1 c2 c3 c4 c5 c6 c7 c8 c9 c10", constants(graph)) end,
  },
  { "keeps other numbers", build = two(f32, f32 + 1), changes = 0, exact = true },
  { "keeps another shape", build = two(f32, f32:reshape { 1, 2 }), changes = 0, exact = true },
  { "keeps minus zero apart from zero", changes = 0, exact = true,
    build = two(core.tensor_from({ 0.0, 0.0 }, "float32"), core.tensor_from({ -0.0, -0.0 }, "float32")) },
  {
    "keeps another type of the same bytes",
    build = two(core.tensor { 2 }, core.tensor({ 2 }, "int32")), changes = 0, run = false,
  },
  {
    "keeps a constant that is a graph output",
    build = function(b)
      b.output(b.node("Add", { b.input("x", { 1, 2 }), b.constant("first", f32) }))
      b.output(b.constant("answer", f32))
    end,
    changes = 0, run = false,
  },
})
