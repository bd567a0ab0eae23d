-- Operators with indices, sizes and attributes that make no sense: a message that names the node, the right exit code,
-- little time and memory. Each case is a model of one node.
local h = require "spec.support.hostile"
local process = require "spec.support.process"
local w = require "spec.support.wire"

local ints, int, floats, one, conv = h.ints, h.int, h.floats, h.one, h.conv
local list, text = h.attribute_ints, h.attribute_string
local SMALL, LARGE = math.mininteger, math.maxinteger
local V = { w.port("x", h.FLOAT, { 4 }) }

local function slice(starts, ends, axes, steps)
  return one("Slice", { "x", "a", "b", "c", "d" },
    { ints("a", starts), ints("b", ends), ints("c", axes), ints("d", steps) })
end

local function pool(...) return one("MaxPool", { "x" }, nil, { ... }, h.PICTURE) end

local function gather(...) return one("Gather", { "x", "i" }, { ints("i", ...) }, { w.attribute("axis", 1) }) end

local function scatter(index)
  return one("ScatterND", { "x", "i", "u" }, { w.tensor("i", h.INT64, { 1, 2 }, ("<i8i8"):pack(0, index)),
    floats("u", { 1 }, 1) })
end

-- name, exit code of info or, where that needs to know the data, of run; part of its message; model
local CASES = {
  -- indices
  { "Gather behind the end", 3, "index 0 is 4", gather(4) },
  { "Gather before the start", 3, "index 0 is -5", gather(-5) },
  { "Gather at 2^63 - 1", 3, "index 1 is 9223372036854775807", gather(0, LARGE) },
  { "Gather at -2^63", 3, "index 0 is -9223372036854775808", gather(SMALL) },
  { "Gather along axis 2^62", 3, "axis",
    one("Gather", { "x", "i" }, { ints("i", 0) }, { w.attribute("axis", 1 << 62) }) },
  { "Gather by floats", 4, "'bad'", one("Gather", { "x", "i" }, { floats("i", { 1 }, 0) }) },
  { "GatherElements behind the end", 3, "index 3 is 4", one("GatherElements", { "x", "i" },
    { w.tensor("i", h.INT64, { 1, 4 }, ("<i8i8i8i8"):pack(0, 1, 2, 4)) }, { w.attribute("axis", 1) }) },
  { "GatherElements of another rank", 3, "'bad'", one("GatherElements", { "x", "i" }, { int("i", 0) }) },
  { "ScatterND behind the end", 3, "is 4, which is outside", scatter(4) },
  { "ScatterND at -2^63", 3, "is -9223372036854775808, which is outside", scatter(SMALL) },
  { "ScatterND of too deep indices", 3, "'bad'", one("ScatterND", { "x", "i", "u" },
    { w.tensor("i", h.INT64, { 1, 3 }, ("<i8i8i8"):pack(0, 0, 0)), floats("u", { 1 }, 1) }) },
  { "ReverseSequence of 2^63 - 1", 3, "length 9223372036854775807", one("ReverseSequence", { "x", "s" },
    { ints("s", LARGE) }, { w.attribute("batch_axis", 0), w.attribute("time_axis", 1) }) },
  -- parts
  { "Slice between the ends of integers", 0, "", slice(SMALL, LARGE, 1, LARGE) },
  { "Slice backwards between them", 0, "", slice(LARGE, SMALL, 1, SMALL) },
  { "Slice along axis 7", 3, "'bad'", slice(0, 1, 7, 1) },
  { "Slice along axis -2^63", 3, "'bad'", slice(0, 1, SMALL, 1) },
  { "Slice with more starts than ends", 3, "'bad'",
    one("Slice", { "x", "a", "b" }, { ints("a", 0, 0), ints("b", 1) }, nil, V) },
  { "Slice of one axis twice", 3, "'bad'", one("Slice", { "x", "a", "b", "c" },
    { ints("a", 0, 0), ints("b", 1, 1), ints("c", 0, 0) }, nil, V) },
  { "Split into the wrong sum", 3, "'bad'", one("Split", { "x", "s" }, { ints("s", 3) }, nil, V) },
  { "Split into a negative part", 3, "'bad'", one("Split", { "x", "s" }, { ints("s", -4) }, nil, V) },
  { "Split into parts whose sum wraps", 3, "'bad'", w.model { inputs = V, outputs = h.Y,
    initializers = { ints("s", LARGE, LARGE, 6) }, nodes = { w.node("Split", { "x", "s" }, { "y", "z", "u" },
      { name = "bad" }) } } },
  { "Split into 2^62 outputs", 3, "'bad'", one("Split", { "x" }, nil, { w.attribute("num_outputs", 1 << 62) }, V) },
  { "Concat with an input left out", 3, "input 1 is missing",
    one("Concat", { "x", "", "x" }, nil, { w.attribute("axis", 0) }) },
  { "Concat of ranks", 3, "'bad'", one("Concat", { "x", "c" }, { int("c", 1) }, { w.attribute("axis", 0) }, V) },
  -- shapes
  { "Reshape that overflows", 5, "'bad'", one("Reshape", { "x", "s" }, { ints("s", 1 << 32, 1 << 32) }) },
  { "Reshape to -2", 3, "'bad'", one("Reshape", { "x", "s" }, { ints("s", -2) }) },
  { "Reshape to 0 and -1 with allowzero", 3, "'bad'",
    one("Reshape", { "x", "s" }, { ints("s", 0, -1) }, { w.attribute("allowzero", 1) }) },
  { "Reshape to nine axes", 3, "'bad'", one("Reshape", { "x", "s" }, { ints("s", 1, 1, 1, 1, 1, 1, 1, 1, 4) }) },
  { "Unsqueeze of an axis twice", 3, "'bad'", one("Unsqueeze", { "x", "s" }, { ints("s", 0, 0) }) },
  { "Unsqueeze at 2^62", 3, "'bad'", one("Unsqueeze", { "x", "s" }, { ints("s", 1 << 62) }) },
  { "Squeeze of an axis of 4", 3, "'bad'", one("Squeeze", { "x", "s" }, { ints("s", 1) }) },
  { "Flatten at 2^62", 3, "'bad'", one("Flatten", { "x" }, nil, { w.attribute("axis", 1 << 62) }) },
  { "Transpose of another rank", 3, "perm", one("Transpose", { "x" }, nil, { list("perm", 0, 1, 2) }) },
  { "Tile by -1", 3, "'bad'", one("Tile", { "x", "s" }, { ints("s", 1, -1) }) },
  { "Expand to a negative size", 3, "'bad'", one("Expand", { "x", "s" }, { ints("s", -1, 4) }) },
  { "Pad by 2^63 - 1", 5, "'bad'", one("Pad", { "x", "s" }, { ints("s", 0, LARGE, 0, 0) }) },
  { "Pad that cuts off more than there is", 3, "'bad'", one("Pad", { "x", "s" }, { ints("s", 0, -3, 0, -2) }) },
  { "Pad that reflects further than there is", 0, "'bad'",
    one("Pad", { "x", "s" }, { ints("s", 0, 9, 0, 0) }, { text("mode", "reflect") }) },
  { "Pad of too few numbers", 3, "'bad'", one("Pad", { "x", "s" }, { ints("s", 1) }) },
  { "Range of step 0", 3, "'bad'", one("Range", { "a", "b", "c" }, { int("a", 0), int("b", 4), int("c", 0) }) },
  { "ConstantOfShape -1", 3, "'bad'", one("ConstantOfShape", { "s" }, { ints("s", -1) }) },
  { "DepthToSpace by 0", 3, "'bad'", one("DepthToSpace", { "x" }, nil, { w.attribute("blocksize", 0) }, h.PICTURE) },
  { "DepthToSpace by 2^62", 3, "'bad'",
    one("DepthToSpace", { "x" }, nil, { w.attribute("blocksize", 1 << 62) }, h.PICTURE) },
  { "SpaceToDepth by -1", 3, "'bad'", one("SpaceToDepth", { "x" }, nil, { w.attribute("blocksize", -1) }, h.PICTURE) },
  { "Resize by 0", 3, "'bad'", one("Resize", { "x", "", "s" }, { floats("s", { 4 }, 1, 1, 0, 0) }, nil, h.PICTURE) },
  { "Resize to -1", 3, "'bad'", one("Resize", { "x", "", "", "s" }, { ints("s", 1, 2, -1, 4) }, nil, h.PICTURE) },
  -- windows
  { "pads of -2^31", 3, "'bad'", conv { list("pads", -1 << 31, 0, 0, 0) } },
  { "pads of 2^62", 3, "'bad'", conv { list("pads", 1 << 62, 0, 0, 0) } },
  { "strides of 2^62", 3, "'bad'", conv { list("strides", 1 << 62, 1 << 62) } },
  { "dilations of 2^62", 3, "'bad'", conv { list("dilations", 1 << 62, 1) } },
  { "a kernel_shape that is not the weight's", 3, "'bad'", conv { list("kernel_shape", 1, 1) } },
  { "three strides for two axes", 3, "'bad'", conv { list("strides", 1, 1, 1) } },
  { "a window of 2^62", 3, "'bad'", pool(list("kernel_shape", 1 << 62, 1)) },
  { "a window of -1", 3, "'bad'", pool(list("kernel_shape", -1, 1)) },
  { "pads as large as the window", 3, "'bad'", pool(list("kernel_shape", 2, 2), list("pads", 9, 9, 9, 9)) },
  { "ConvTranspose with output_padding 2^62", 3, "'bad'",
    conv({ list("output_padding", 1 << 62, 0) }, nil, "ConvTranspose") },
  { "ConvTranspose to a negative output_shape", 3, "'bad'",
    conv({ list("output_shape", -4, -4) }, nil, "ConvTranspose") },
  { "ConvTranspose of strides 2^40", 3, "'bad'", conv({ list("strides", 1 << 40, 1) }, nil, "ConvTranspose") },
  -- others
  { "Cast to type 999", 4, "'bad'", one("Cast", { "x" }, nil, { w.attribute("to", 999) }) },
  { "LpNormalization with p = 0", 3, "'bad'", one("LpNormalization", { "x" }, nil, { w.attribute("p", 0) }) },
  { "LSTM of hidden_size 2^40", 3, "'bad'", one("LSTM", { "x", "w", "r" },
    { w.tensor("w", h.FLOAT, { 1, 4, 4 }, ("\0"):rep(64)), w.tensor("r", h.FLOAT, { 1, 4, 1 }, ("\0"):rep(16)) },
    { w.attribute("hidden_size", 1 << 40) }, { w.port("x", h.FLOAT, { 1, 1, 4 }) }) },
  { "Gemm whose sizes differ", 3, "'bad'", one("Gemm", { "x", "w" }, { floats("w", { 3, 1 }, 1, 2, 3) }) },
  { "Softmax along axis -2^63", 3, "axis", one("Softmax", { "x" }, nil, { w.attribute("axis", SMALL) }) },
  { "ReduceSum along axis 2^62", 3, "'bad'", one("ReduceSum", { "x", "s" }, { ints("s", 1 << 62) }) },
}

local all

setup(function()
  local folder, models = process.folder(), {}
  for i, case in ipairs(CASES) do models[i] = case[4] end
  all = h.measure(folder, models)
  process.remove(folder)
end)

describe("an operator: #unit", function()
  for i, case in ipairs(CASES) do
    it(case[1], function()
      local steps = all[i]
      local said = steps.info.code ~= 0 and steps.info or steps.run
      assert.equal(case[2], said.code, said.text)
      if case[2] ~= 0 then assert.matches(case[3], said.text, 1, true) end
      -- What a command does not need to know it may let pass; 1: check says so.
      for command, step in pairs(steps) do
        assert.is_true(step.code == case[2] or step.code == 0 or step.code == 1 or step.code == 4 or step.code == 3,
          ("%s: %d %s"):format(command, step.code, step.text))
      end
    end)
  end
end)
