-- accumulator = "lanes" from the option to the integers: a model whose sums saturate on the way, models whose sums
-- cannot, the layers that check, report and Evaluator list, and refusals. The kernels: spec/quant/lanes_spec.lua.
local cjson = require "cjson"
local core = require "espquant.core"
local espquant = require "espquant"
local process = require "spec.support.process"
local run = require "spec.support.run"

local TAPS = 200

-- Weights +1 for the first half of the inputs, then -1; or +1, 0, -1, 0 by turns.
local function weights(by_turns)
  local list, turns = {}, { 1, 0, -1, 0 }
  for i = 1, TAPS do list[i] = by_turns and turns[i % 4 + 1] or not by_turns and (i > TAPS // 2 and -1 or 1) end
  return core.tensor_from(list, "float32"):reshape { 1, TAPS }
end

local function gemm(by_turns)
  return run.build({ { "x", { "N", TAPS } } }, { { "Gemm", { "x", weights(by_turns) }, "y", { transB = 1 } } },
    { "y" })
end

-- All inputs 0.9; and the first quarter alone, so that outputs reach 45.
local function images()
  local list = {}
  for i = 1, 2 * TAPS do list[i] = i <= TAPS * 5 // 4 and 0.9 or 0 end
  return core.tensor_from(list, "float32"):reshape { 2, TAPS }
end

-- Dense, depthwise, 1x1 and fully connected layers, none of them wide.
local function small_network()
  return run.build({ { "x", { "N", 3, 8, 8 } } }, {
    { "Conv", { "x", run.numbers({ 17, 3, 3, 3 }, 2), run.numbers({ 17 }, 3) }, "a", { pads = { 1, 1, 1, 1 } } },
    { "Relu", { "a" }, "b" },
    { "Conv", { "b", run.numbers({ 17, 1, 3, 3 }, 4) }, "c", { pads = { 1, 1, 1, 1 }, group = 17 } },
    { "MaxPool", { "c" }, "d", { kernel_shape = { 2, 2 }, strides = { 2, 2 } } },
    { "Conv", { "d", run.numbers({ 20, 17, 1, 1 }, 5) }, "e" },
    { "GlobalAveragePool", { "e" }, "f" },
    { "Flatten", { "f" }, "g" },
    { "Gemm", { "g", run.numbers({ 10, 20 }, 6), run.numbers({ 10 }, 7) }, "y", { transB = 1 } },
  }, { "y" })
end

local function table_of(model, data, options)
  options.log, options.observer = function() end, options.runtime and "minmax"
  return espquant.Calibrator(options):generate_quantization_table(model, data)
end

local function evaluator(model, t, options)
  local eva = espquant.Evaluator(options)
  eva:generate_quantized_model(model, t)
  return eva
end

local function with(options, accumulator)
  local copy = { accumulator = accumulator }
  for key, value in pairs(options) do copy[key] = value end
  return copy
end

local CONFIGS = {
  { bits = "int8" }, { bits = "int8", granularity = "per-channel" }, { bits = "int16" },
  { bits = "int8", runtime = "v3" }, { bits = "int16", runtime = "v3" },
}

local function label(o) return ("%s %s %s"):format(o.runtime or "v1", o.bits, o.granularity or "") end

describe("accumulator lanes", function()
  -- 100 products of 115 by 64 reach 524287 and stay there; 100 of the other sign take it to -211713, which is -51.7 at
  -- the output's exponent. An exact sum comes back to 0. 50 products, 89.8, are no matter.
  for _, o in ipairs { CONFIGS[1], CONFIGS[2], CONFIGS[4] } do
    it("keeps what a sum loses on the way: " .. label(o), function()
      local model, data = gemm(), images()
      local t = table_of(model, data, with(o))
      assert.equal(-1, t:exponent "y")
      local exact = evaluator(model, t, with(o)):evaluate_quantized_model(data)[1]:reshape({ -1 }):totable()
      local lanes = evaluator(model, t, with(o, "lanes")):evaluate_quantized_model(data)[1]:reshape({ -1 }):totable()
      assert.same({ 0, o.runtime and 90 or 89 }, exact)
      assert.same({ -52, o.runtime and 90 or 89 }, lanes)
    end)
  end

  for _, o in ipairs(CONFIGS) do
    it("changes nothing where no sum can leave a lane: " .. label(o), function()
      local model, data = small_network(), run.numbers({ 3, 3, 8, 8 }, 11)
      local t = table_of(model, data, with(o))
      local exact, lanes = evaluator(model, t, with(o)), evaluator(model, t, with(o, "lanes"))
      assert.same({}, lanes:saturating_layers())
      local a, b = exact:evaluate_quantized_model(data)[1], lanes:evaluate_quantized_model(data)[1]
      assert.equal(a:tobytes(), b:tobytes())
      assert.equal("exact", exact.graph.accumulator)
      assert.equal("lanes", lanes.graph.accumulator)
      assert.equal("lanes", lanes.graph:clone().accumulator)
      assert.matches("saturating lanes", tostring(lanes))
    end)
  end

  it("gives the same bytes for any number of threads and micro-batch", function()
    local w = run.numbers({ 20, 64, 3, 3 }, 5)
    local model = run.build({ { "x", { "N", 64, 5, 5 } } },
      { { "Conv", { "x", w, run.numbers({ 20 }, 6) }, "y", { pads = { 1, 1, 1, 1 } } } }, { "y" })
    local data, bytes = run.numbers({ 7, 64, 5, 5 }, 8), {}
    for _, o in ipairs { CONFIGS[1], CONFIGS[4] } do
      local t = table_of(model, data, with(o))
      for i, threads in ipairs { 1, 2 } do
        local options = with(o, "lanes")
        options.threads = threads
        local eva = evaluator(model, t, options)
        bytes[i] = eva:evaluate_quantized_model(data)[1]:tobytes()
        local first = eva:evaluate_quantized_model(data:slice(1, 3))[1]:tobytes()
        assert.equal(first, bytes[i]:sub(1, #first))
        assert.is_true(eva:saturating_layers()[1].saturating > 0)
      end
      assert.equal(bytes[1], bytes[2])
    end
  end)

  it("lists layers, with the channels of which the sums can leave a lane", function()
    local model, data = gemm(true), images()
    for _, o in ipairs { CONFIGS[1], CONFIGS[4] } do
      local list = evaluator(model, table_of(model, data, with(o)), with(o)):saturating_layers()
      assert.same({ { layer = "y", op = "Gemm", output = "y", saturating = 1, channels = 1 } }, list)
    end
    local o = { bits = "int8", runtime = "v3", target = "esp32p4" }
    local t = table_of(model, data, with(o))
    assert.same({}, evaluator(model, t, { bits = "int8", runtime = "v3", chip = "esp32p4" }):saturating_layers())
    assert.error_matches(function() espquant.Evaluator("int8"):saturating_layers() end, "generate_quantized_model")
  end)

  -- Of inputs that are not negative, half of the products have the wrong sign for either end of the lane.
  local BEHIND_RELU = {
    { true, {} },
    { true, { { "MaxPool", { kernel_shape = { 1, 2 }, strides = { 1, 2 } } } } },
    { false, { { "MaxPool", { kernel_shape = { 1, 2 }, strides = { 1, 2 }, pads = { 0, 1, 0, 1 } } } } },
    { false, { { "LeakyRelu" } } },
  }
  for i, case in ipairs(BEHIND_RELU) do
    it("knows what a Relu leaves of the inputs, number " .. i, function()
      local known, between = table.unpack(case)
      local pool = between[1] and between[1][2]
      local width = not pool and TAPS or pool.pads and 2 * TAPS - 2 or 2 * TAPS
      local nodes = { { "Relu", { "x" }, "r" } }
      for k, n in ipairs(between) do nodes[#nodes + 1] = { n[1], { nodes[#nodes][3] }, "b" .. k, n[2] } end
      nodes[#nodes + 1] = { "Flatten", { nodes[#nodes][3] }, "f" }
      nodes[#nodes + 1] = { "Gemm", { "f", weights(true) }, "y", { transB = 1 } }
      local model = run.build({ { "x", { "N", 1, 1, width } } }, nodes, { "y" })
      local data = run.numbers({ 2, 1, 1, width }, 3)
      local o = { bits = "int8" }
      local list = evaluator(model, table_of(model, data, with(o)), o):saturating_layers()
      assert.equal(known and 0 or 1, #list)
    end)
  end

  it("is for the ESP32-S3 and what it computes", function()
    local CASES = {
      { { runtime = "v3", chip = "esp32p4" }, "`lanes` simulates the saturating sums of the `esp32s3`, not of the "
        .. "`esp32p4`" },
      { { runtime = "v3", chip = "c" }, "not of the `c`" },
      { { mode = "original" }, "mode \"original\" has the figures" },
    }
    for _, case in ipairs(CASES) do
      local options = with(case[1], "lanes")
      options.bits = "int8"
      assert.error_matches(function() espquant.Evaluator(options) end, case[2], 1, true)
    end
    assert.error_matches(function() espquant.Evaluator { bits = "int8", accumulator = "wide" } end,
      "supported accumulator: `exact` or `lanes`, got \"wide\"", 1, true)
    local eva = espquant.Evaluator { bits = "int8", runtime = "v3", accumulator = "lanes" }
    assert.error_matches(function() eva:set_target_chip "esp32c3" end, "not of the `esp32c3`", 1, true)
    assert.equal("esp32s3", eva.chip)
    local model = gemm()
    local t = table_of(model, images(), { bits = "int8", target = "esp32s2" })
    local ok, fault = pcall(evaluator, model, t, { bits = "int8", accumulator = "lanes" })
    assert.is_false(ok)
    assert.matches("the table is for esp32s2; only the esp32s3", fault.message, 1, true)
  end)
end)

describe("the commands", function()
  local folder, npy
  local function path(name) return folder .. "/" .. name end

  local function call(...) return process.run({ process.espquant, ... }, { cwd = folder }) end

  setup(function()
    folder = process.folder()
    npy = path "x.npy"
    assert(core.onnx_write(gemm(), path "m.onnx"))
    assert(espquant.npy.save(npy, images()))
    assert.equal(0, call("calibrate", "m.onnx", "-d", npy, "-o", "t.json").status)
    assert.equal(0, call("calibrate", "m.onnx", "-d", npy, "--runtime", "v3", "--target", "esp32p4", "-o", "p4.json")
      .status)
  end)

  teardown(function() process.remove(folder) end)

  it("check lists the layers that can saturate, for the chip that does", function()
    for _, runtime in ipairs { "v1", "v3" } do
      local r = call("check", "m.onnx", "--runtime", runtime)
      assert.matches("note: sums can leave the ESP32%-S3's lanes.-in 1 layer;.-\n      Gemm 'y': 1 of 1 channels\n",
        r.stdout)
      local facts = cjson.decode(call("check", "m.onnx", "--runtime", runtime, "--json").stdout)
      assert.same({ { layer = "y", op = "Gemm", output = "y", saturating = 1, channels = 1 } }, facts.saturating_layers)
    end
    assert.not_matches("lanes", call("check", "m.onnx", "--bits", "int16").stdout)
    assert.not_matches("lanes", call("check", "m.onnx", "--runtime", "v3", "--target", "esp32p4").stdout)
    assert.not_matches("lanes", call("check", "m.onnx", "--target", "esp32").stdout)
    assert.not_matches("lanes", call("check", "m.onnx", "--mode", "original").stdout)
  end)

  it("run and evaluate take it", function()
    local exact = call("run", "m.onnx", "-t", "t.json", "-d", npy)
    local lanes = call("run", "m.onnx", "-t", "t.json", "-d", npy, "--accumulator", "lanes")
    assert.equal(0, lanes.status)
    assert.matches("%-52", lanes.stdout)
    assert.not_equal(exact.stdout, lanes.stdout)
    local facts = cjson.decode(call("evaluate", "m.onnx", "-t", "t.json", "-d", npy, "--accumulator", "lanes", "--json")
      .stdout)
    assert.equal("lanes", facts.accumulator)
  end)

  it("refuse it for other chips, and without integers", function()
    local CASES = {
      { { "evaluate", "m.onnx", "-t", "p4.json", "-d", npy }, "not of the `esp32p4`" },
      { { "run", "m.onnx", "-t", "p4.json", "-d", npy }, "not of the `esp32p4`" },
      { { "run", "m.onnx", "-d", npy }, "--accumulator needs --table" },
      { { "report", "m.onnx", "-d", npy, "--config", "int8:v3:esp32p4" }, "not of the `esp32p4`" },
    }
    for _, case in ipairs(CASES) do
      local words = table.move(case[1], 1, #case[1], 1, {})
      table.move({ "--accumulator", "lanes" }, 1, 2, #words + 1, words)
      local r = call(table.unpack(words))
      assert.equal(2, r.status)
      assert.matches(case[2], r.stderr, 1, true)
    end
  end)

  it("report lists the layers of each configuration", function()
    local r = call("report", "m.onnx", "-d", npy, "--accumulator", "lanes", "--config", "int8:per-tensor:minmax",
      "--config", "int16:per-tensor:minmax", "--json")
    local configs = cjson.decode(r.stdout).configs
    assert.equal("lanes", configs[1].accumulator)
    assert.equal(1, configs[1].saturating_layers[1].saturating)
    assert.matches("Gemm 'y': 1 of 1 channels", configs[1].warnings[#configs[1].warnings], 1, true)
    assert.same({}, configs[2].saturating_layers)
  end)

  it("run an .espdl file's own test on lanes", function()
    assert.equal(0, call("calibrate", "m.onnx", "-d", npy, "--runtime", "v3", "--observer", "minmax", "-o", "s3.json")
      .status)
    assert.equal(0, call("export", "m.onnx", "-t", "s3.json", "-d", npy, "-o", "m.espdl").status)
    assert.equal(0, call("run", "m.espdl").status)
    local r = call("run", "m.espdl", "--accumulator", "lanes")
    assert.equal(1, r.status)
    assert.matches("1 of 1 elements differ, by 52 at most", r.stdout)
    r = call("run", "m.espdl", "--accumulator", "lanes", "--chip", "esp32p4")
    assert.matches("not of the `esp32p4`", r.stderr, 1, true)
  end)

  it("do not take a file of another chip for one of lanes", function()
    local gemm4 = { "Gemm", { "x", run.numbers({ 4, TAPS }, 1) }, "y", { transB = 1 } }
    assert(core.onnx_write(run.build({ { "x", { "N", TAPS } } }, { gemm4 }, { "y" }), path "four.onnx"))
    local p4 = { "--runtime", "v3", "--target", "esp32p4" }
    assert.equal(0, call("calibrate", "four.onnx", "-d", npy, "-o", "four.json", table.unpack(p4)).status)
    assert.equal(0, call("export", "four.onnx", "-t", "four.json", "-d", npy, "-o", "four.espdl").status)
    local r = call("run", "four.espdl", "--accumulator", "lanes")
    assert.equal(3, r.status)
    assert.matches("only of files for the esp32s3", r.stderr)
  end)
end)
