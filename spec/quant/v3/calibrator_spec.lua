-- The Calibrator for ESP-DL v3: options, checks, tables over datasets of any batches, their JSON, the command.
local cjson = require "cjson"
local core = require "espquant.core"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local net = require "spec.support.net"
local process = require "spec.support.process"

local errors = espquant.errors

local MODEL = [[
  input x 1,4,8,8
  const w 4,4,3,3
  const b 4
  Conv x w b -> c pads=1,1,1,1
  Relu c -> r
  const v 256,5
  Flatten r -> f
  Gemm f v -> y
  output y
]]
local DATA = net.tensor({ 9, 4, 8, 8 }, 3, 2)

local function calibrator(options)
  local o = { bits = "int8", runtime = "v3", log = function() end }
  for key, value in pairs(options or {}) do o[key] = value end
  return espquant.Calibrator(o)
end

local function entries(t)
  local list = {}
  for i, e in ipairs(t.entries) do list[i] = { e.name, e.kind, e.bits, e.exponents, e.seams } end
  return list
end

describe("a Calibrator of ESP-DL v3", function()
  it("gives the recorded table of the model as it comes, in any batches", function()
    local case = fixtures.open("sigmoid_swish", "v3")
    local model, data = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "calib.npy"
    local wanted = case.json "esp32p4_8bit/table.json".variables
    for _, source in ipairs { data, { data:slice(1, 5), data:slice(6, 6), data:slice(7, 16) } } do
      local t = assert(calibrator({ target = "esp32p4" }):measure_table(model, source))
      for name, variable in pairs(wanted) do
        assert.equal(math.tointeger(variable.exponent[1]), t:exponent(name), name)
      end
      assert.same({ "v3", "esp32p4", 8 }, { t.facts.runtime, t.facts.target, t.facts.bits })
    end
  end)

  it("writes the table as JSON, which reads the same", function()
    local path = os.tmpname() .. ".json"
    local calib = calibrator { layers = { Conv_c = "int16" }, observer = "mse", threads = 2 }
    local t = calib:generate_quantization_table(net.model(MODEL), DATA, path)
    local u = assert(espquant.qtable.load(path))
    assert.same(entries(t), entries(u))
    assert.same(t.facts, u.facts)
    assert.same({ Conv_c = "int16", Relu_r = "int16" }, u.facts.layers)
    assert.equal(t:to_json(), u:to_json())
    assert.matches("c  +activation 2%^%-%d+ %(int16%)", tostring(t))
    local more = net.model(MODEL .. "Sigmoid r -> s\noutput s")
    assert.matches("r  +activation 2%^%-%d+ %(int16, read as int8 at 2%^%-?%d+%)",
      tostring(calibrator { layers = { Conv_c = "int16" } }:measure_table(more, DATA)))
    local ok, message, code = t:save(path:gsub("json$", "pickle"))
    assert.same({ nil, "unsupported" }, { ok, code })
    assert.matches("a table of ESP%-DL v3 is written as JSON", message)
    os.remove(path)
  end)

  it("has observers for activations and weights", function()
    local seen = {}
    for _, observer in ipairs { "kl", "minmax", "percentile", "mse" } do
      local t = assert(calibrator { observer = observer, weight_observer = observer }:measure_table(net.model(MODEL),
        DATA))
      seen[#seen + 1] = table.concat({ t:exponent "x", t:exponent "r", t:exponent "y", t:exponent "v" }, " ")
    end
    assert.equal(4, #seen)
    local t = assert(calibrator { target = "esp32p4", weight_observer = "percentile" }:measure_table(net.model(MODEL),
      DATA))
    assert.equal(5, #t:get("v").exponents)
  end)

  it("is named by its options, and refuses those that are wrong, or of v1", function()
    assert.equal("Calibrator: int8, v3 for esp32c6", tostring(calibrator { target = "esp32c6" }))
    for text, options in pairs {
      ["option 'method' is of runtime `v1`, not of `v3`"] = { method = "entropy" },
      ["option 'observer' is of runtime `v3`, not of `v1`"] = { runtime = "v1", observer = "kl" },
      ["supported mode: `chip`, got \"original\""] = { mode = "original" },
      ["the observer `kl` is for int8; int16 knows minmax, percentile and mse"] = { bits = "int16", observer = "kl" },
      ["observer: `kl`, `minmax`, `percentile` or `mse` expected, got \"entropy\""] = { observer = "entropy" },
      ["layers: a table of names or patterns to `int8`, `int16`, `float` or a table of bits, observer, weight_observer "
        .. "expected, got a table"] = { layers = { c = "int4" } },
      ["supported target: `c`, `esp32`"] = { target = "esp32h2" },
      ["supported runtime: `v1` or `v3`, got \"v2\""] = { runtime = "v2" },
    } do
      local ok, message = pcall(calibrator, options)
      assert.is_false(ok)
      assert.equal(text, tostring(message):sub(1, #text))
    end
    assert.has_error(function() calibrator():set_method("per-tensor", "minmax") end)
    assert.has_error(function() calibrator():export_coefficient_to_cpp(net.model(MODEL), "t", "esp32s3", ".", "x") end)
  end)

  it("raises what data and models have wrong", function()
    local nan = net.tensor({ 2, 4, 8, 8 }, 3, 2) * (0 / 0)
    local t, message, code, problems = calibrator():measure_table(net.model(MODEL), nan)
    assert.same({ nil, "format" }, { t, code })
    assert.matches("tensors cannot be quantized", message)
    assert.equal("'x' becomes NaN or infinite on the calibration data", problems[1])
    local ok, err = pcall(calibrator { layers = { nothing = "int16" } }.generate_quantization_table,
      calibrator { layers = { nothing = "int16" } }, net.model(MODEL), DATA)
    assert.is_false(ok)
    assert.is_true(errors.is(err))
    assert.matches("no node and no tensor of the model is called 'nothing'", tostring(err))
  end)

  it("says why models cannot be quantized, all at once", function()
    for text, reason in pairs {
      ["input x 1,4,8,8\nErf x -> y\noutput y"] = "ESP%-DL v3 does not load the operator Erf",
      ["input x 1,4,N,8\nRelu x -> y\noutput y"] = "dimension 2 .* is not fixed",
      ["input x 1,4,8,8 int32\nTranspose x -> y\noutput y"] = "has type int32",
      ["input x 1,4,8,8\nReduceSumSquare x -> s\nCeil s -> t\nErf t -> y\noutput y"] = "2 nodes of the model",
    } do
      local status, problems = calibrator():check_model(net.model(text))
      local _, message = calibrator():measure_table(net.model(text), DATA)
      assert.equal(-1, status, text)
      assert.matches(reason, #problems > 1 and message or problems[1].message)
    end
    assert.same({ 0, {}, {} }, { calibrator():check_model(net.model(MODEL)) })
  end)
end)

describe("espquant calibrate --runtime v3", function()
  local folder

  setup(function()
    folder = process.folder()
    local case = fixtures.open("gemm_mlp", "v3")
    for _, name in ipairs { "model.onnx", "calib.npy" } do
      process.write_file(folder .. "/" .. name, case.bytes(name))
    end
  end)
  teardown(function() process.remove(folder) end)

  local function calibrate(...)
    return process.run({ process.espquant, "calibrate", "model.onnx", "-d", "calib.npy", "--runtime", "v3", ... },
      { cwd = folder })
  end

  it("writes the table beside the model, with layers of other widths", function()
    local r = calibrate("--target", "esp32p4", "--int16", "gemm_3,gemm_1*", "--observer", "mse", "--json")
    assert.equal(0, r.status, r.stderr)
    local facts, t = cjson.decode(r.stdout), assert(espquant.qtable.load(folder .. "/model_calib.json"))
    assert.same({ gemm_3 = "int16", relu_4 = "int16", gemm_11 = "int16" }, facts.layers)
    assert.same({ "v3", "esp32p4", "mse" }, { facts.runtime, facts.target, facts.observer })
    assert.same({ 16, 8 }, { t:get("gemm_3_out").bits, t:get("gemm_7_out").bits })
  end)

  it("takes options from a file, which it checks", function()
    local function config(text)
      process.write_file(folder .. "/c.json", '{"format": "espquant-config", "version": 1' .. text .. "}")
      return calibrate("--config", "c.json", "-o", "c_calib.json")
    end
    local r = config ', "target": "esp32p4", "observer": "mse", "layers": {"gemm_3": "int16"}'
    assert.equal(0, r.status, r.stderr)
    local facts = assert(espquant.qtable.load(folder .. "/c_calib.json")).facts
    assert.same({ "esp32p4", "mse", { gemm_3 = "int16", relu_4 = "int16" } },
      { facts.target, facts.observer, facts.layers })
    for text, wrong in pairs {
      ["supported quantization bit"] = ', "bits": []', ["layers: a table of names"] = ', "layers": 3',
      ["expected, got a table"] = ', "layers": {"1": {"bits": "int8", "foo": 1}}',
      ["supported runtime"] = ', "runtime": "v9"', ["supported target"] = ', "target": "foo"',
      ["`mse` expected, got 3"] = ', "observer": 3', ["option 'observer' is of runtime `v3`"] =
        ', "runtime": "v1", "observer": "kl"',
    } do
      r = config(wrong)
      assert.equal(3, r.status, text)
      assert.matches("c.json: ", r.stderr, 1, true)
      assert.matches(text, r.stderr, 1, true)
      assert.is_nil(r.stderr:find "traceback")
    end
    assert.equal(3, calibrate("--config", "model.onnx").status)
  end)

  it("refuses options of v1, layers that are not there, and other tables", function()
    for text, options in pairs {
      ["option 'method' is of runtime `v1`, not of `v3`"] = { "--method", "minmax" },
      ["no node and no tensor of the model is called 'foo'"] = { "--float", "foo" },
      ["layer 'gemm_3' has two widths"] = { "--int16", "gemm_3", "--int8", "gemm_3" },
      ["a table of runtime v3 is JSON, 't.pickle' does not end in .json"] = { "-o", "t.pickle" },
      ["ESP-DL has no float Gemm"] = { "--float", "gemm_3" },
    } do
      local r = calibrate(table.unpack(options))
      assert.is_true(r.status ~= 0)
      assert.matches(text, r.stderr, 1, true)
    end
  end)
end)

describe("tables of ESP-DL v3", function()
  it("are read with a word for everything that is wrong", function()
    local function decode(entry, more)
      local path = os.tmpname()
      local file <close> = assert(io.open(path, "wb"))
      file:write(('{"format": "espquant-table", "version": 1, "runtime": "v3"%s, "tensors": {"a": %s}}'):format(
        more or "", entry))
      file:close()
      local t, message = espquant.qtable.load(path)
      os.remove(path)
      return t, message
    end
    assert.same({ [8] = -3 }, decode('{"kind": "float", "seams": {"8": -3}}'):get("a").seams)
    assert.equal(20, decode('{"kind": "bias", "bits": 20, "exponents": [-3]}'):get("a").bits)
    for text, arguments in pairs {
      ["bits: 8, 16, 20, 32, 40 or 64 expected, got 9"] = { '{"bits": 9, "exponents": [1]}' },
      ["seams: an object from widths"] = { '{"bits": 8, "exponents": [1], "seams": {"9": 1}}' },
      ["layers: 'c': int8, int16 or float expected, got int4"] = { '{"exponents": [1]}', ', "layers": {"c": "int4"}' },
      ["layers: an object expected"] = { '{"exponents": [1]}', ', "layers": 3' },
    } do
      local t, message = decode(table.unpack(arguments))
      assert.is_nil(t)
      assert.matches(text, message, 1, true)
    end
  end)
end)
