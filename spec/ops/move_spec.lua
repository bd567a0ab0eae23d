--- Operators that move elements: forms newer than ONNX's own tests, other types, edges and hostile numbers.

local core = require "espquant.core"

local function ints(...) return core.tensor_from({ ... }, "int64") end

local function tensor(list, shape, dtype) return core.tensor_from(list, dtype or "int16"):reshape(shape) end

-- Outputs of one node, each as text: "shape: elements".
local function apply(case)
  local g = core.graph { name = "spec", opset = case.opset or 19 }
  local values = {}
  for i, t in ipairs(case.inputs) do values[i] = g:add_constant("x" .. i, t) end
  local outputs = {}
  for i = 1, case.outputs or 1 do outputs[i] = "y" .. i end
  local made = g:add_node { op_type = case.op, inputs = values, outputs = outputs, attrs = case.attrs }
  for _, y in ipairs(case.outputs and made.outputs or { made }) do g:add_output(y) end
  local got, message, code = core.evaluate(g, {})
  if not got then return message, code end
  for i, y in ipairs(got) do
    local list = y.count == 0 and {} or y:reshape({ -1 }):totable()
    for k, x in ipairs(list) do list[k] = ("%g"):format(x) end
    got[i] = table.concat(y.shape, "x") .. ": " .. table.concat(list, " ")
  end
  return table.concat(got, "; ")
end

local x7, x23 = tensor({ 1, 2, 3, 4, 5, 6, 7 }, { 7 }), tensor({ 1, 2, 3, 4, 5, 6 }, { 2, 3 })
local empty = tensor({}, { 0, 3 }, "float32")
local big = math.maxinteger

local cases = {
  { "Split in uneven parts", op = "Split", inputs = { x7 }, outputs = 3, attrs = { num_outputs = 3 },
    "3: 1 2 3; 3: 4 5 6; 1: 7" },
  { "Split with sizes, one 0", op = "Split", inputs = { x23, ints(0, 3) }, outputs = 2, attrs = { axis = -1 },
    "2x0: ; 2x3: 1 2 3 4 5 6" },
  { "Split by the attribute of old", op = "Split", opset = 11, inputs = { x7 }, outputs = 2,
    attrs = { split = { 6, 1 } }, "6: 1 2 3 4 5 6; 1: 7" },
  { "Split unevenly before 18", op = "Split", opset = 13, inputs = { x7 }, outputs = 2,
    error = "7 entries do not split evenly in 2" },
  { "Split into too many", op = "Split", inputs = { x7 }, outputs = 5, attrs = { num_outputs = 5 },
    error = "7 entries do not split evenly in 5" },
  { "Split with a wrong count", op = "Split", inputs = { x7 }, outputs = 2, attrs = { num_outputs = 3 },
    error = "num_outputs is 3, but it has 2" },
  { "Split with a wrong sum", op = "Split", inputs = { x7, ints(3, 3) }, outputs = 2, error = "split adds up to 6" },
  { "Split with an overflow", op = "Split", inputs = { x7, ints(big, big) }, outputs = 2, error = "entry 1 of split" },
  { "Split with sizes below 0", op = "Split", inputs = { x7, ints(8, -1) }, outputs = 2,
    error = "entry 1 of split is %-1" },
  { "Pad that wraps", op = "Pad", inputs = { x23, ints(0, -2, 1, 3) }, attrs = { mode = "wrap" },
    "3x4: 3 3 3 3 6 6 6 6 3 3 3 3" },
  { "Pad that wraps often", op = "Pad", inputs = { tensor({ 1, 2 }, { 2 }), ints(3, 2) }, attrs = { mode = "wrap" },
    "7: 2 1 2 1 2 1 2" },
  { "Pad of one axis", op = "Pad", opset = 18, inputs = { x23, ints(1, 0), tensor({ 9 }, {}), ints(-1) },
    "2x4: 9 1 2 3 9 4 5 6" },
  { "Pad that wraps before 19", op = "Pad", opset = 18, inputs = { x23, ints(0, 0, 0, 1) }, attrs = { mode = "wrap" },
    error = "mode is 'wrap', expected constant" },
  { "Tile", op = "Tile", inputs = { x23, ints(2, 2) }, "4x6: 1 2 3 1 2 3 4 5 6 4 5 6 1 2 3 1 2 3 4 5 6 4 5 6" },
  { "Tile to nothing", op = "Tile", inputs = { x23, ints(1, 0) }, "2x0: " },
  { "Tile too much", op = "Tile", inputs = { x23, ints(1, big) }, error = "axis 1 would have more than 2%^63" },
  { "Tile by less than 0", op = "Tile", inputs = { x23, ints(1, math.mininteger) }, error = "repeat 1 is %-9223" },
  { "Gather from the end", op = "Gather", inputs = { x23, tensor({ -1, 0 }, { 2, 1 }, "int32") }, attrs = { axis = 1 },
    "2x2x1: 3 1 6 4" },
  { "Gather outside", op = "Gather", inputs = { x23, ints(2) }, error = "index 0 is 2, which is outside of 2 entries" },
  { "Gather far outside", op = "Gather", inputs = { x23, ints(0, math.mininteger) }, error = "index 1 is %-9223" },
  { "Gather from nothing", op = "Gather", inputs = { empty, ints(0) }, error = "is outside of 0 entries" },
  { "Gather with floats", op = "Gather", inputs = { x23, tensor({ 0 }, { 1 }, "float32") },
    error = "has type float32, expected int32, int64" },
  { "GatherElements", op = "GatherElements", inputs = { x23, tensor({ 1, 0, -1 }, { 1, 3 }, "int64") }, "1x3: 4 2 6" },
  { "GatherElements outside", op = "GatherElements", inputs = { x23, tensor({ 1, 0, 2 }, { 1, 3 }, "int64") },
    error = "index 2 is 2, which is outside of 2" },
  { "GatherElements larger than its data", op = "GatherElements",
    inputs = { x23, tensor({ 0, 0, 0, 0 }, { 1, 4 }, "int64") },
    error = "do not fit into an input of shape 2x3" },
  { "ScatterND, the largest", op = "ScatterND",
    inputs = { x7, tensor({ 0, -1, 0 }, { 3, 1 }, "int64"), tensor({ 5, 5, 4 }, { 3 }) },
    attrs = { reduction = "max" }, "7: 5 2 3 4 5 6 7" },
  { "ScatterND, the smallest row", op = "ScatterND",
    inputs = { x23, tensor({ 1 }, { 1, 1 }, "int64"), tensor({ 0, 9, 6 }, { 1, 3 }) },
    attrs = { reduction = "min" }, "2x3: 1 2 3 0 5 6" },
  { "ScatterND with max before 18", op = "ScatterND", opset = 16,
    inputs = { x7, tensor({ 0 }, { 1, 1 }, "int64"), tensor({ 5 }, { 1 }) }, attrs = { reduction = "max" },
    error = "reduction is 'max'" },
  { "ScatterND outside", op = "ScatterND", inputs = { x23, tensor({ 1, 3 }, { 1, 2 }, "int64"), tensor({ 5 }, { 1 }) },
    error = "index 1 of tuple 0 is 3, which is outside of 3 entries" },
  { "ScatterND that does not fit", op = "ScatterND",
    inputs = { x23, tensor({ 1 }, { 1, 1 }, "int64"), tensor({ 5 }, { 1 }) },
    error = "data of shape 2x3, indices of shape 1x1 and updates of shape 1 do not fit" },
  { "ReverseSequence", op = "ReverseSequence", inputs = { x23, ints(3, 0) }, attrs = { time_axis = 1, batch_axis = 0 },
    "2x3: 3 2 1 4 5 6" },
  { "ReverseSequence too long", op = "ReverseSequence", inputs = { x23, ints(1, 3, 1) },
    error = "length 3 of sequence 1" },
  { "DepthToSpace of bytes", op = "DepthToSpace", inputs = { tensor({ 1, 2, 3, 4 }, { 1, 4, 1, 1 }, "uint8") },
    attrs = { blocksize = 2, mode = "CRD" }, "1x1x2x2: 1 2 3 4" },
  { "DepthToSpace that does not divide", op = "DepthToSpace", inputs = { tensor({ 1, 2, 3 }, { 1, 3, 1, 1 }) },
    attrs = { blocksize = 2 }, error = "axis 1 has 3 entries, expected a multiple of 4" },
  { "SpaceToDepth with a huge block", op = "SpaceToDepth", inputs = { tensor({ 1 }, { 1, 1, 1, 1 }) },
    attrs = { blocksize = big }, error = "blocksize is 9223" },
  { "ConstantOfShape", op = "ConstantOfShape", inputs = { ints(2, 2) }, attrs = { value = ints(7) }, "2x2: 7 7 7 7" },
  { "ConstantOfShape below 0", op = "ConstantOfShape", inputs = { ints(2, -2) },
    error = "entry 1 of the shape is %-2" },
  { "ConstantOfShape too large", op = "ConstantOfShape", inputs = { ints(big, 2) }, error = "has too many elements" },
  { "Range downwards", op = "Range",
    inputs = { ints(5):reshape {}, ints(-2):reshape {}, ints(-3):reshape {} }, "3: 5 2 -1" },
  { "Range from end to end", op = "Range", inputs = { ints(math.mininteger), ints(big), ints(big) },
    "3: -9.22337e+18 -1 9.22337e+18" },
  { "Range without steps", op = "Range", inputs = { ints(0), ints(1), ints(0) }, error = "delta is 0" },
  { "Range of no number", op = "Range", error = "delta is no number",
    inputs = { tensor({ 0 / 0 }, {}, "float32"), tensor({ 1 }, {}, "float32"), tensor({ 1 }, {}, "float32") } },
  { "Range without end", op = "Range", error = "has too many elements",
    inputs = { tensor({ 0 }, {}, "float32"), tensor({ 1 / 0 }, {}, "float32"), tensor({ 1 }, {}, "float32") } },
  { "Shape from an axis", op = "Shape", inputs = { x23 }, attrs = { start = -1 }, "1: 3" },
  { "Shape of no axes", op = "Shape", inputs = { x23 }, attrs = { start = 2, ["end"] = math.mininteger }, "0: " },
  { "Size of nothing", op = "Size", inputs = { empty }, ": 0" },
}

describe("operators that move elements", function()
  for _, c in ipairs(cases) do
    it(c[1], function()
      local got = apply(c)
      if c.error then assert.matches(c.error, got)
      else assert.equal(c[2], got) end
    end)
  end

  it("leave what is computed at run time unknown", function()
    local g = core.graph { name = "spec", opset = 18 }
    local x, k = g:add_input("x", "float32", { 2, 3 }), g:add_input("k", "int64", { 2 })
    local shapes = {}
    for _, op in ipairs { "Split", "Tile", "ConstantOfShape" } do
      local y = g:add_node { op_type = op, inputs = op == "ConstantOfShape" and { k } or { x, k },
        outputs = op == "Split" and 2 or 1 }
      g:infer_shapes()
      local shape = {}
      for i, d in ipairs(y.outputs[1].shape) do shape[i] = d or "?" end
      shapes[#shapes + 1] = table.concat(shape, "x")
    end
    assert.equal("?x3 ?x? ?x?", table.concat(shapes, " "))
  end)
end)
