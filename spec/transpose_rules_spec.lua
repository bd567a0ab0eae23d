--- Every operator that works in the other order does so between two Transposes, with the same results.
local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local TO_LAST, TO_FIRST = { 0, 2, 3, 1 }, { 0, 3, 1, 2 } -- NCHW to NHWC, and back
local SHAPE = { 2, 6, 4, 5 }

local function turn(b, x, perm) return b.node("Transpose", { x }, { attrs = { perm = perm } }) end

-- x (NCHW) -> Neg -> Transpose to NHWC -> body(b, nhwc) -> Transpose by back -> Relu -> y
local function between(body, options)
  options = options or {}
  return function(b)
    b.graph.opset = options.opset or 13
    local nhwc = turn(b, b.node("Neg", { b.input("x", options.shape or SHAPE) }), TO_LAST)
    local result = body(b, nhwc)
    if options.back ~= false then result = turn(b, result, options.back or TO_FIRST) end
    b.output(b.node("Relu", { result }, { out = "y" }))
  end
end

-- One operator: its attributes and further inputs, lists of integers or tensors.
local function op(name, attrs, ...)
  local more = table.pack(...)
  return function(b, x)
    local inputs = { x }
    for i = 1, more.n do
      local entry = more[i]
      inputs[i + 1] = type(entry) == "table" and b.integers(nil, entry) or (entry and b.constant(nil, entry)) or false
    end
    return b.node(name, inputs, { attrs = attrs })
  end
end

local function floats(...) return core.tensor_from({ ... }, "float32") end
local function sizes(graph) return graph:value "y".shape end

-- Two halves along the axis, joined again.
local function halves(axis, split, attrs)
  return function(b, x)
    local made = b.make("Split", { x, split and b.integers(nil, split) },
      { attrs = attrs or { axis = axis }, outputs = 2 })
    return b.node("Concat", { made:output(2), b.node("Sigmoid", { made:output(1) }) }, { attrs = { axis = axis } })
  end
end

local HALF = { coordinate_transformation_mode = "half_pixel", mode = "linear" }

-- what, operators in the middle, body, options
local moved = {
  { "Slice", "Slice", op("Slice", nil, { 1, 0 }, { 3, 1000 }, { 1, -1 }, { 1, 2 }) },
  { "Slice without axes", "Slice", op("Slice", nil, { 0, 1 }, { 2, 3 }) },
  { "Slice of old opsets", "Slice", op("Slice", { starts = { 1 }, ends = { -1 }, axes = { 3 } }), { opset = 9 } },
  { "Slice by int32", "Slice", op("Slice", nil, core.tensor_from({ 1 }, "int32"), core.tensor_from({ 3 }, "int32"),
    core.tensor_from({ 3 }, "int32")) },
  { "Split in equal parts", "Split Sigmoid Concat", halves(3) },
  { "Split by a list", "Split Sigmoid Concat", halves(-1, { 2, 4 }) },
  { "Split of opset 18", "Split Sigmoid Concat", halves(3, nil, { axis = 3, num_outputs = 2 }), { opset = 18 } },
  { "Tile", "Tile", op("Tile", nil, { 1, 2, 1, 3 }) },
  { "Expand", "Expand", op("Expand", nil, { 3, 1, 1, 1, 1 }), false },
  { "Expand of an axis", "ReduceMax Expand", function(b, x)
    return op("Expand", nil, { 4, 5, 6 })(b, op("ReduceMax", { axes = { 1 } })(b, x)) end },
  { "Resize by scales", "Resize", op("Resize", HALF, false, floats(1, 2, 1.5, 1)) },
  { "Resize to sizes", "Resize", op("Resize", { mode = "nearest" }, false, false, { 2, 8, 10, 6 }) },
  { "Resize of named axes", "Resize", op("Resize", { mode = "nearest", axes = { 1, 2 } }, false, false, { 8, 10 }),
    { opset = 18 } },
  { "Resize of opset 10", "Resize", op("Resize", { mode = "nearest" }, floats(1, 2, 2, 1)), { opset = 10 } },
  { "Upsample", "Upsample", op("Upsample", { mode = "nearest" }, floats(1, 2, 3, 1)), { opset = 9 } },
  { "Pad of named axes", "Pad", op("Pad", nil, { 1, 2, 3, 4 }, core.tensor_from(0.5), { 1, -1 }), { opset = 18 } },
  { "Squeeze and Unsqueeze", "ReduceMax Squeeze Unsqueeze", function(b, x)
    local flat = op("Squeeze", nil, { 2 })(b, op("ReduceMax", { axes = { 2 } })(b, x))
    return op("Unsqueeze", nil, { -2 })(b, flat)
  end },
  { "Unsqueeze to five axes", "Unsqueeze", op("Unsqueeze", nil, { 1 }), { back = { 0, 4, 1, 2, 3 } } },
  { "Gather of a place", "Gather", op("Gather", { axis = 3 }, core.tensor_from(2, "int64")), { back = false } },
  { "Gather of places", "Gather", op("Gather", { axis = 3 }, { 4, 0, 2 }) },
  { "PRelu", "PRelu", op("PRelu", nil, harness.random({ 1, 1, 6 }, 3)) },
  { "Where", "Greater Where", function(b, x)
    local zero = b.constant(nil, core.tensor_from(0))
    return b.node("Where", { b.node("Greater", { x, zero }), x, b.random(nil, { 6 }) })
  end },
  { "LpNormalization", "LpNormalization", op("LpNormalization", { axis = 3, p = 2 }) },
  { "a Reshape of channels for all places", "ReduceMax Reshape Transpose Mul", function(b, x)
    local squeezed = op("Reshape", nil, { 2, 1, 1, 6 })(b, op("ReduceMax", { axes = { 1, 2 }, keepdims = 0 })(b, x))
    return b.node("Mul", { x, squeezed })
  end },
}

local cases = {}
for _, entry in ipairs(moved) do
  local what, ops, body, options = table.unpack(entry, 1, 4)
  if options ~= false then
    cases[#cases + 1] = { "goes through " .. what, build = between(body, options), ops = "Neg " .. ops .. " Relu" }
  end
end

local kept = {
  { "a Slice of computed axes", function(b, x)
    return b.node("Slice", { x, b.integers(nil, { 1 }), b.integers(nil, { 2 }), b.input("axes", { 1 }, "int64") })
  end },
  { "a Tile of computed repeats", function(b, x) return b.node("Tile", { x, b.input("r", { 4 }, "int64") }) end },
  { "an Expand to more axes", op("Expand", nil, { 3, 1, 1, 1, 1 }), { back = { 0, 1, 4, 2, 3 } } },
  { "a Resize of computed sizes", function(b, x)
    return b.node("Resize", { x, false, false, b.input("s", { 4 }, "int64") })
  end },
  { "a Resize of a region", op("Resize", { coordinate_transformation_mode = "tf_crop_and_resize" },
    floats(0, 0, 0, 0, 1, 1, 1, 1), floats(1, 2, 2, 1)) },
  { "a Gather at a matrix of places", function(b, x)
    return b.node("Gather", { x, b.constant(nil, core.tensor_from({ 0, 1, 2, 3 }, "int64", { 2, 2 })) },
      { attrs = { axis = 3 } })
  end, { back = { 0, 1, 4, 2, 3 } } },
  { "a Squeeze without axes", op("Squeeze"), { shape = { 2, 1, 1, 5 }, back = { 1, 0 } } },
}
for _, entry in ipairs(kept) do
  cases[#cases + 1] = { "stops before " .. entry[1], build = between(entry[2], entry[3]), changes = 0, run = false }
end

describe("rules behind a Transpose", function()
  local pass = require "espquant.passes".get "move_transposes"
  for _, case in ipairs(cases) do
    it(case[1], function()
      local b = harness.builder()
      case.build(b)
      assert(b.graph:verify())
      if case.run == false then
        local before = tostring(b.graph)
        assert.equal(0, pass:apply(b.graph))
        assert.equal(before, tostring(b.graph))
        return
      end
      assert(b.graph:infer_shapes())
      local expected, shape = harness.run(b.graph)[1], sizes(b.graph)
      assert.is_true(pass:apply(b.graph) > 0)
      assert(b.graph:verify())
      assert(b.graph:infer_shapes())
      assert.equal(case.ops, harness.ops(b.graph))
      assert.same(shape, sizes(b.graph))
      assert.is_true(harness.difference(expected, harness.run(b.graph)[1]) < 1e-6)
      assert.equal(0, pass:apply(b.graph))
    end)
  end
end)
