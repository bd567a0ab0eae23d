-- Where the error of a layer comes from: nets with one source of error each, and figures worked out by hand.

local cjson = require "cjson"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local diagnosis = require "espquant.diagnosis"
local errors = require "espquant.errors"
local json = require "espquant.json"
local net = require "spec.support.net"
local process = require "spec.support.process"

local IDENTITY = "input x N,2\n const w 2,2\n Gemm x w -> y\n output y"
local UNIT = core.tensor_from({ 1, 0, 0, 1 }, "float32", { 2, 2 })

local function explain(text, given, x, name, options)
  local model = net.model(text, given)
  return diagnosis.of(model, assert(dataset.of(x, model)), name, options or { bits = "int8" })
end

local function by_name(facts)
  local found = {}
  for _, source in ipairs(facts.sources) do found[source.name] = source.snr end
  return found
end

local CHAIN = [[
  input x N,3,8,8
  const w1 4,3,3,3
  const b1 4
  Conv x w1 b1 -> c1
  Relu c1 -> r1
  const w2 4,4,1,1
  Conv r1 w2 -> c2
  output c2
]]

describe("the diagnosis of a layer", function()
  it("finds no noise where everything is exact", function()
    local facts = explain(IDENTITY, { w = UNIT }, core.tensor_from({ 0.5, 0.875, -0.25, 0.125 }, "float32", { 2, 2 }),
      "y")
    assert.same({ "Gemm_y", "Gemm", "y", -7, 8, json.null }, { facts.layer, facts.op, facts.output, facts.exponent,
      facts.bits, facts.snr })
    for name, snr in pairs(by_name(facts)) do assert.equal(json.null, snr, name) end
    assert.is_nil(facts.main)
  end)

  it("measures what is cut off from an input as worked out by hand", function()
    local facts = explain(IDENTITY, { w = UNIT }, core.tensor_from({ 2, 0.5 }, "float32", { 1, 2 }), "Gemm_y")
    local lost = 2 - 127 / 128
    local wanted = 10 * math.log(4.25 / lost ^ 2, 10)
    local found = by_name(facts)
    assert.is_true(math.abs(wanted - found["input range"]) < 1e-5, found["input range"])
    assert.equal(json.null, found.weights)
    assert.equal("input range", facts.main)
    assert.is_true(facts.reads_model_input)
    assert.equal(0, facts.channels[1].channel)
    assert.is_true(facts.channels[1].share > 0.99)
  end)

  it("finds weights that one scale does not suit, and the channel that suffers", function()
    local rows = { { 1, 0.0075 } } -- 0.0075 is less than half a step beside 1: y = (0.5, 0.24) becomes (0.5, 0)
    for i = 2, 64 do rows[i] = { 0, 0.0075 } end
    local facts = explain("input x N,64\n const w 64,2\n Gemm x w -> y\n output y",
      { w = core.tensor_from(rows, "float32") }, core.tensor({ 3, 64 }):fill(0.5), "y",
      { bits = "int8", granularity = "per-tensor" })
    assert.same({ "weights", 1 }, { facts.main, facts.channels[1].channel })
    assert.is_true(math.abs(10 * math.log((0.25 + 0.24 ^ 2) / 0.24 ^ 2, 10) - by_name(facts).weights) < 1e-3)
    assert.is_true(math.abs(facts.channels[1].weight - 0.0075) < 1e-6)
  end)

  for _, case in ipairs {
    { "v1", { bits = "int8" }, "c1" }, { "v1 per channel", { bits = "int8", granularity = "per-channel" }, "c1" },
    { "v1 int16", { bits = "int16" }, "c1" },
    { "v3", { bits = "int8", runtime = "v3", target = "esp32s3" }, "r1" },
    { "v3 on the esp32p4", { bits = "int8", runtime = "v3", target = "esp32p4" }, "r1" },
  } do
    it("takes a layer and its Relu as the integer model has them: " .. case[1], function()
      local x = net.tensor({ 8, 3, 8, 8 }, 6, 0.9)
      local facts = explain(CHAIN, nil, x, "Conv_c1", case[2])
      assert.same({ "Conv_c1", case[3], 7 }, { facts.layer, facts.output, #facts.sources })
      assert.is_true(facts.snr > 15 and facts.snr < 100, facts.snr)
      assert.equal(4, #facts.channels)
      local relu = explain(CHAIN, nil, x, "r1", case[2])
      assert.equal(case[3] == "r1" and "Conv_c1" or "Relu_r1", relu.layer)
      local second = explain(CHAIN, nil, x, "c2", case[2])
      assert.equal("Relu_r1", second.from)
      assert.is_true(by_name(second).inherited <= by_name(second)["input rounding"] + 1)
    end)
  end

  it("takes a layer that reads one tensor twice, and one of two tensors", function()
    local text = CHAIN:gsub("output c2", "Add c2 c2 -> twice\n Add twice c1 -> sum\n output sum")
    for name, sources in pairs { twice = 6, sum = 6 } do
      assert.equal(sources, #explain(text, nil, net.tensor({ 4, 3, 8, 8 }, 6, 0.9), name).sources)
    end
  end)

  it("knows names that may have been meant", function()
    local ok, err = errors.pcall(explain, CHAIN, nil, net.tensor({ 1, 3, 8, 8 }, 6), "Conv_c3")
    assert.is_false(ok)
    assert.matches("no layer 'Conv_c3'; did you mean: Conv_c1", err.message, 1, true)
    assert.matches("espquant info", select(2, errors.pcall(explain, CHAIN, nil, net.tensor({ 1, 3, 8, 8 }, 6),
      "something else")).message)
  end)
end)

describe("espquant explain", function()
  local DATA = { "--data", "examples/data/mnist/calib-images-idx3-ubyte.gz", "--scale", "1/256" }

  local folder, model
  setup(function()
    folder = process.folder()
    model = folder .. "/m.onnx"
    assert(process.run({ process.espquant, "optimize", "examples/mnist.onnx", "-o", model }, { cwd = process.root })
      .status == 0)
  end)
  teardown(function() process.remove(folder) end)

  local function run(...)
    local words = { process.espquant, "explain", model, table.unpack(DATA) }
    for _, word in ipairs { ... } do words[#words + 1] = word end
    return process.run(words, { cwd = process.root })
  end

  it("prints sources, channels and a command that runs", function()
    local r = run("--layer", "fc")
    assert.equal(0, r.status, r.stderr)
    assert.matches("^fc %(Gemm%), 'output', int8 with exponent %-?%d+: %d+%.%d dB\n", r.stdout)
    assert.matches("\noutput rounding +%d+%.%d  the float result", r.stdout)
    local command = r.stdout:match "try\n  espquant (.-)\n"
    local words = { process.espquant }
    for word in command:gmatch "%S+" do words[#words + 1] = word end
    if words[2] ~= "explain" then words[#words + 1], words[#words + 2] = "-o", folder .. "/out.onnx" end
    assert.equal(0, process.run(words, { cwd = process.root }).status, command)
  end)

  it("prints the same as JSON; refuses unknown layers and original mode", function()
    local facts = cjson.decode(run("--layer", "fc", "--json").stdout)
    assert.same({ "fc", 5, 7 }, { facts.layer, #facts.channels, #facts.sources })
    assert.matches("^espquant ", facts.command)
    assert.equal(3, run("--layer", "fcc").status)
    assert.equal(2, run("--layer", "fc", "--mode", "original").status)
  end)
end)
