local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local HUGE = math.huge

-- A chain of { op, number or list of bounds }, for instance { "Max", 0 }, { "Clip", { 0, 6 } }, { "Relu" }.
local function chain(steps, options)
  options = options or {}
  return function(b)
    b.graph.opset = options.opset or 13
    local function scalar(x) return x and b.constant(nil, core.tensor_from({ x }, "float32", options.shape or {})) end
    local y = b.node("Mul", { b.input("x", { 2, 3 }), b.constant("eight", core.tensor_from({ 8 }, "float32", {})) })
    for i, step in ipairs(steps) do
      local inputs, attrs = { y }, nil
      if step[1] == "Clip" and b.graph.opset < 11 then attrs = { min = step[2][1], max = step[2][2] }
      elseif step[1] == "Clip" then inputs = { y, scalar(step[2][1]), scalar(step[2][2]) }
      elseif step[2] then inputs = options.swap and { scalar(step[2]), y } or { y, scalar(step[2]) } end
      y = b.node(step[1], inputs, { name = "n" .. i, out = "y" .. i, attrs = attrs })
      if options.other then b.output(y) end
    end
    b.output(y)
  end
end

local function bounds(low, high)
  return function(graph)
    local list = graph:node_list()
    local clip = list[#list]
    local function number(i) return clip:input(i) and clip:input(i).constant:item() end
    assert.same({ low, high }, { number(2), number(3) })
  end
end

harness.describe("fuse_clips", {
  { "makes Relu and Min a Clip", build = chain { { "Relu" }, { "Min", 6 } }, changes = 1, exact = true,
    ops = "Mul Clip", check = bounds(0, 6) },
  { "takes the number in front", build = chain({ { "Relu" }, { "Min", 6 } }, { swap = true }), changes = 1,
    exact = true, ops = "Mul Clip" },
  { "takes a number of some rank", build = chain({ { "Relu" }, { "Min", 6 } }, { shape = { 1, 1 } }), changes = 1,
    exact = true, ops = "Mul Clip" },
  { "makes Max and Min a Clip", build = chain { { "Max", -1 }, { "Min", 2 } }, changes = 1, exact = true,
    ops = "Mul Clip", check = bounds(-1, 2) },
  { "makes Min and Max a Clip", build = chain { { "Min", 6 }, { "Max", 0 } }, changes = 1, exact = true,
    ops = "Mul Clip", check = bounds(0, 6) },
  { "lets a Clip take a Relu", build = chain { { "Relu" }, { "Clip", { -3, 6 } } }, changes = 1, exact = true,
    ops = "Mul Clip", check = bounds(0, 6) },
  { "lets a Relu take a Clip", build = chain { { "Clip", { -3, 6 } }, { "Relu" } }, changes = 1, exact = true,
    ops = "Mul Clip", check = bounds(0, 6) },
  { "knows bounds that do not meet", build = chain { { "Clip", { -3, -2 } }, { "Clip", { 1, 2 } } }, changes = 1,
    exact = true, ops = "Mul Clip", check = bounds(1, 1) },
  { "makes a Relu where that is all", build = chain { { "Clip", { -1, nil } }, { "Relu" } }, changes = 1, exact = true,
    ops = "Mul Relu" },
  { "makes Max with 0 a Relu", build = chain { { "Max", 0 } }, changes = 1, exact = true, ops = "Mul Relu" },
  { "takes a whole chain", build = chain { { "Max", 0 }, { "Min", 9 }, { "Clip", { 1, 8 } }, { "Relu" } }, changes = 4,
    exact = true, ops = "Mul Clip", check = bounds(1, 8) },
  { "knows bounds that are attributes", build = chain({ { "Relu" }, { "Clip", { -1.0, 6.0 } } }, { opset = 10 }),
    changes = 1, exact = true, ops = "Mul Clip",
    check = function(graph)
      assert.same({ min = 0.0, max = 6.0 }, graph:node("n2"):attrs())
    end },
  { "keeps a Clip, a Min and another Max", build = chain { { "Min", 6 } }, changes = 0, exact = true },
  { "keeps a Max with another number", build = chain { { "Max", 1 } }, changes = 0, exact = true },
  { "keeps bounds in the wrong order", build = chain { { "Relu" }, { "Clip", { 6, 0 } } }, changes = 0, exact = true },
  { "keeps a bound that is no number", build = chain { { "Relu" }, { "Min", 0 / 0 } }, changes = 0, run = false },
  { "keeps a bound that adds an axis", build = chain({ { "Relu" }, { "Min", 1 } }, { shape = { 1, 1, 1 } }),
    changes = 0, exact = true },
  { "keeps it when the Relu has another reader", build = chain({ { "Relu" }, { "Min", 6 } }, { other = true }),
    changes = 0, exact = true },
  {
    "keeps bounds per column",
    build = function(b)
      b.output(b.node("Min", { b.node("Relu", { b.input("x", { 2, 3 }) }), b.random("high", { 3 }) }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps bounds that are computed",
    build = function(b)
      local low = b.node("ReduceMin", { b.input("z", { 2 }) }, { attrs = { keepdims = 0 } })
      b.output(b.node("Clip", { b.node("Relu", { b.input("x", { 2, 3 }) }), low }))
    end,
    changes = 0, exact = true,
  },
  {
    "keeps integers",
    build = function(b)
      b.output(b.node("Max", { b.input("x", { 2, 3 }, "int32"), b.constant("zero", core.tensor({}, "int32")) }))
    end,
    changes = 0, run = false,
  },
  { "keeps an infinite bound absent", build = chain { { "Max", -HUGE }, { "Min", 6 } }, changes = 1, exact = true,
    ops = "Mul Clip", check = bounds(nil, 6) },
})

describe("fuse_clips #unit", function()
  it("looks at a long chain of unknown shape once", function()
    local b = harness.builder()
    local x = b.graph:add_input("x", "float32")
    for _ = 1, 10000 do x = b.node("Relu", { x }) end
    b.output(x)
    local start = os.clock()
    assert.equal(0, require "espquant.passes".get "fuse_clips":apply(b.graph))
    assert.is_true(os.clock() - start < 10)
  end)
end)
