-- What ESP-DL v3 cannot do of a model: each restriction with its cause and remedy, all at once, and as a command.
local cjson = require "cjson"
local check = require "espquant.quant.v3.check"
local core = require "espquant.core"
local espquant = require "espquant"
local harness = require "spec.support.pass_harness"
local process = require "spec.support.process"

local X = { 1, 4, 6, 6 }

-- A node behind x: op_type, attributes, shapes of random constants behind x, or functions of the builder.
local function model(case)
  local b = harness.builder()
  b.graph.opset = case.opset or 18
  local inputs = { b.input("x", case.shape or X) }
  for i, shape in ipairs(case.inputs or {}) do
    inputs[i + 1] = type(shape) == "function" and shape(b) or shape and b.random("p" .. i, shape)
  end
  local node = b.make(case[1], inputs, { name = "n", attrs = case[2], outputs = case.outputs })
  for _, value in ipairs(node.outputs) do b.output(value) end
  return b.graph
end

local function floats(...)
  local list = { ... }
  return function(b) return b.constant("scales", core.tensor_from(list, "float32")) end
end

local function y(name, shape)
  return function(b) return b.input(name, shape) end
end

local REFUSED = {
  { "AveragePool", { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 } }, why = "leaves its padding out of the mean",
    remedy = "count_include_pad = 1" },
  { "AveragePool", { kernel_shape = { 4, 4 }, strides = { 4, 4 }, ceil_mode = 1 }, why = "ceil_mode", remedy = "Pad" },
  { "MaxPool", { kernel_shape = { 2, 2 }, dilations = { 2, 2 } }, why = "dilated", remedy = "without" },
  { "MaxPool", { kernel_shape = { 2, 2 } }, outputs = 2, why = "Indices", remedy = "do without" },
  { "MaxPool", { kernel_shape = { 2, 2, 2 } }, shape = { 1, 1, 4, 4, 4 }, why = "3-D pool" },
  { "Conv", {}, inputs = { { 2, 1, 2, 2, 2 } }, shape = { 1, 1, 4, 4, 4 }, why = "3-D convolution" },
  { "Conv", {}, inputs = { y("w", { 2, 4, 3, 3 }) }, why = "'w' is computed at run time", remedy = "constant" },
  { "ConvTranspose", { pads = { 3, 3, 3, 3 } }, inputs = { { 4, 2, 2, 2 } }, why = "crops more",
    remedy = "smaller pads" },
  { "Add", {}, inputs = { { 1, 1, 1, 1, 4 } }, shape = { 1, 2, 2, 2, 4 }, why = "it has 5 dimensions" },
  { "Mod", { fmod = 0 }, inputs = { { 1 } }, why = "fmod is 0" },
  { "MatMul", {}, inputs = { { 6 } }, why = "multiplies with a vector", remedy = "matrix" },
  { "SpaceToDepth", { blocksize = 1 << 13 }, shape = { 1, 1, 1 << 13, 1 << 13 }, why = "too many" },
  { "DepthToSpace", { blocksize = 1, mode = "CRD" }, shape = { 1, 1 << 24, 1, 1 }, why = "CRD" },
  { "Conv", { group = 1025 }, inputs = { { 2050, 2, 1, 1 } }, shape = { 1, 2050, 1, 1 }, why = "1025 groups" },
  { "PRelu", {}, inputs = { { 1, 6, 6 } }, why = "neither one nor one per channel", remedy = "each channel" },
  { "Pad", { mode = "wrap" }, opset = 19, why = "mode is wrap",
    inputs = { function(b) return b.integers("p", { 0, 0, 1, 1, 0, 0, 1, 1 }) end } },
  { "Resize", { mode = "cubic" }, inputs = { false, floats(1, 1, 2, 2) }, why = "cubic" },
  { "Resize", { mode = "linear", coordinate_transformation_mode = "asymmetric" },
    inputs = { false, floats(1, 1, 2, 2) }, why = "coordinates are asymmetric" },
  { "Resize", { mode = "nearest" }, inputs = { false, floats(1, 1, 1.5, 1.5) }, why = "coordinates are half_pixel",
    remedy = "nearest_mode floor" },
  { "GRU", { hidden_size = 3 }, shape = { 2, 1, 4 }, inputs = { { 1, 9, 4 }, { 1, 9, 3 } }, outputs = 2,
    why = "linear_before_reset is 0" },
  { "LSTM", { hidden_size = 2 }, shape = { 2, 3, 4 }, inputs = { { 1, 8, 4 }, { 1, 8, 2 } }, outputs = 3,
    why = "its batch is 3" },
  { "Max", {}, inputs = { { 4, 1, 1 } }, why = "does not load the operator Max", remedy = "Clip does it" },
  { "Abs", {}, why = "does not load the operator Abs", remedy = "Relu%(%-x%)" },
  { "Relu", {}, shape = { 1, 4, "H", 6 }, why = "dimension 2 of the model's input 'x' is not fixed" },
}

local ACCEPTED = {
  { "MaxPool", { kernel_shape = { 3, 3 }, strides = { 2, 2 }, ceil_mode = 1 } },
  { "AveragePool", { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 }, count_include_pad = 1 } },
  { "Conv", { group = 2 }, inputs = { { 4, 2, 3, 3 } } },
  { "Conv", { group = 4 }, inputs = { { 8, 1, 3, 3 } } },
  { "ConvTranspose", { strides = { 2, 2 } }, inputs = { { 4, 2, 2, 2 }, { 2 } } },
  { "Resize", { mode = "nearest" }, inputs = { false, floats(1, 1, 2, 2) } },
  { "Resize", { mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor" },
    inputs = { false, floats(1, 1, 1.5, 1.5) } },
  { "PRelu", {}, inputs = { { 4, 1, 1 } } },
  { "PRelu", {}, shape = { 1, 4, 9 }, inputs = { { 4, 1 } } },
  { "GlobalMaxPool", {} },
  { "Sum", {}, inputs = { { 4, 1, 1 }, { 1 } } },
  { "DepthToSpace", { blocksize = 2, mode = "CRD" } },
}

describe("what ESP-DL v3 cannot do", function()
  for _, case in ipairs(REFUSED) do
    it(("%s: %s"):format(case[1], case.why), function()
      local ok, message, code, problems = check(model(case), { bits = 8, target = "esp32s3" })
      assert.same({ nil, "1 node of the model cannot be quantized", "unsupported", 1 },
        { ok, message, code, #problems })
      local p = problems[1]
      assert.matches(case.why, p.cause)
      assert.matches(case.remedy or ".", p.remedy or "")
      assert.equal(p.message, ("%s (%s): %s; %s"):format(p.message:match "^%u%w+ '[^']+'", p.shapes, p.cause, p.remedy))
    end)
  end

  it("is not told of what can be prepared", function()
    for _, case in ipairs(ACCEPTED) do
      local ok, _, _, problems = check(model(case), { bits = 8, target = "esp32s3" })
      assert.is_true(ok, problems and problems[1].message)
    end
  end)

  it("is told by the exporter, before anything is written", function()
    local calib = espquant.Calibrator { bits = "int8", runtime = "v3" }
    local t = espquant.qtable.new { runtime = "v3", bits = 8, target = "esp32s3" }
    local path = os.tmpname()
    local ok, err = pcall(calib.export_espdl, calib, model { "Abs", {} }, t, path .. ".espdl")
    assert.is_false(ok)
    assert.same({ "unsupported", "Abs" }, { err.code, err.problems[1].op })
    assert.is_nil(io.open(path .. ".espdl"))
    os.remove(path)
  end)

  it("is told by the command, with exit code 1, each with its remedy", function()
    local path = os.tmpname()
    local b = harness.builder()
    local x = b.input("x", X)
    local a = b.node("Abs", { x }, { name = "a" })
    b.output(b.node("AveragePool", { a }, { name = "p", attrs = { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 } } }))
    assert(espquant.onnx.save(b.graph, path))
    local function run(...) return process.run { process.espquant, "check", path, "--runtime", "v3", ... } end
    local r = run("--target", "esp32p4")
    assert.same({ 1, "" }, { r.status, r.stderr })
    assert.matches("2 nodes of the model cannot be quantized\n  %- Abs 'a' .-\n      use Relu.-\n  %- AveragePool 'p' ",
      r.stdout)
    assert.matches("\nnext: espquant optimize ", r.stdout)
    local facts = cjson.decode(run("--json", "--target", "esp32p4").stdout)
    assert.same({ false, "v3", "esp32p4", 2, "p" },
      { facts.supported, facts.runtime, facts.target, #facts.problems, facts.problems[2].node })
    os.remove(path)
  end)
end)
