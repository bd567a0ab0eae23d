-- The Calibrator: its constructor and setters, data of every form, warnings, refusals, and the same table every time.

local core = require "espquant.core"
local espquant = require "espquant"
local net = require "spec.support.net"

local Calibrator, errors = espquant.Calibrator, espquant.errors

local MODEL = [[
  input x N,3,6,6
  const w 4,3,3,3
  const b 4
  Conv x w b -> c pads=1,1,1,1
  Relu c -> r
  MaxPool r -> m kernel_shape=2,2 strides=2,2
  Flatten m -> f
  const v 36,5
  Gemm f v -> y
  output y
]]

local function quiet() end

local function temporary(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

local function calibrator(options)
  local o = { bits = "int8", log = quiet }
  for key, value in pairs(options or {}) do o[key] = value end
  return Calibrator(o)
end

-- The error object that a call raises.
local function raised(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  return err
end

local DATA = net.tensor({ 70, 3, 6, 6 }, 5, 0.99) -- more than a batch of a dataset

describe("a Calibrator", function()
  it("is made by position or by name, and tells what it is", function()
    local c = Calibrator("int8", "per-channel", "entropy")
    assert.equal("Calibrator: int8 per-channel entropy, chip mode, v1", tostring(c))
    assert.same({ 8, 127.0, "per-channel", "entropy", 0, { "CPUExecutionProvider" } },
      { c.quant_bit, c.quant_val, c.granularity, c.method, c.output_channel_axis, c.providers })
    assert.same({ "Slice", "Shape" }, c.special_type)
    assert.equal(7, #c.supported_arithmetic_type)
    c = Calibrator { bits = "int16", mode = "original", target = "esp32" }
    assert.equal("Calibrator: int16 per-tensor minmax, original mode, v1", tostring(c))
    assert.same({ 16, 32767.0, "esp32" }, { c.quant_bit, c.quant_val, c.target })
  end)

  it("refuses wrong options in the original's words", function()
    for text, arguments in pairs {
      ['supported quantization bit: 8 or 16; expected `int8` or `int16`, got "int9"'] = { "int9" },
      ['supported granularity: `per-tensor` or `per-channel`, got "per-axis"'] = { "int8", "per-axis" },
      ['supported calibration method: `minmax` or `entropy`, got "kl"'] = { "int8", "per-tensor", "kl" },
      ['int16 only supports per-tensor quantization, got "per-channel"'] = { "int16", "per-channel" },
      ['int16 only supports minmax calibration method, got "entropy"'] = { "int16", "per-tensor", "entropy" },
    } do
      assert.has_error(function() Calibrator(table.unpack(arguments)) end, text)
    end
  end)

  it("changes its method, and stays as it was when it cannot", function()
    local c = Calibrator "int16"
    local function refuses(text, ...)
      assert.same({ false, text }, { pcall(c.set_method, c, ...) })
    end
    refuses('int16 only supports per-tensor quantization, got "per-channel"', "per-channel", "minmax")
    refuses('int16 only supports minmax calibration method, got "entropy"', "per-tensor", "entropy")
    assert.same({ "per-tensor", "minmax" }, { c.granularity, c.method })
    c = Calibrator "int8"
    c:set_method("per-channel", "entropy")
    assert.same({ "per-channel", "entropy" }, { c.granularity, c.method })
    refuses('supported granularity: `per-tensor` or `per-channel`, got "per-axis"', "per-axis", "entropy")
    refuses("supported calibration method: `minmax` or `entropy`, got nil", "per-tensor")
    assert.equal("per-channel", c.granularity)
  end)

  it("stores providers, and refuses one that there is not when data is run", function()
    local c, g = calibrator(), net.model(MODEL)
    c:set_providers { "CUDAExecutionProvider" }
    local err = raised(c.generate_quantization_table, c, g, DATA)
    assert.equal("unsupported", err.code)
    assert.matches("Specified provider 'CUDAExecutionProvider' is unavailable", err.message, 1, true)
    c:set_providers { "CPUExecutionProvider" }
    assert.is_table(c:generate_quantization_table(g, DATA))
    assert.error_matches(function() c:set_providers "CPUExecutionProvider" end, "a list of names expected")
  end)

  it("leaves the model as it is", function()
    local g = net.model(MODEL)
    local before = core.onnx_encode(g)
    calibrator({ method = "entropy" }):generate_quantization_table(g, DATA)
    assert.equal(before, core.onnx_encode(g))
  end)
end)

describe("a table", function()
  it("has its facts, is written where wanted, and is returned", function()
    local path = temporary ".json"
    local g, c = net.model(MODEL), calibrator { granularity = "per-channel", target = "esp32" }
    local t = c:generate_quantization_table(g, DATA, path)
    assert.same({
      runtime = "v1", mode = "chip", bits = 8, granularity = "per-channel", method = "minmax", target = "esp32",
      model = core.sha256(core.onnx_encode(g)), tool = "espquant " .. espquant.version,
      isa = core.isa(), data = t.facts.data,
    }, t.facts)
    assert.matches("^%x+$", t.facts.data)
    assert.equal(64, #t.facts.data)
    assert.equal(t.facts.tool, espquant.qtable.load(path).facts.tool)
    assert.equal(70, c.images)
    assert.equal(t:to_json(), assert(core.read_file(path)))
    local parts = { DATA:slice(1, 3), DATA:slice(4, 70) }
    assert.equal(t.facts.data, c:generate_quantization_table(g, parts, path).facts.data)
    parts[2] = DATA:slice(1, 67)
    assert.not_equal(t.facts.data, c:generate_quantization_table(g, parts, path).facts.data)
    os.remove(path)
  end)

  it("has the exponents of the data's maxima", function()
    local g = net.model("input x N,2\n const w 2,2\n Gemm x w -> y\n output y",
      { w = core.tensor_from({ { 1, 0 }, { 0, 1 } }, "float32") })
    local function exponent(x, bits)
      return calibrator({ bits = bits }):measure_table(g, core.tensor_from({ { x, 0 } }, "float32")):exponent "y"
    end
    assert.same({ -7, -6, -6 }, { exponent(127 / 128, "int8"), exponent(0.9922, "int8"), exponent(1, "int8") })
    assert.same({ -14, 0, 1 }, { exponent(-1, "int16"), exponent(-127, "int8"), exponent(128, "int8") })
  end)

  it("is the same however the data comes and however many threads there are", function()
    local g = net.model(MODEL)
    local path = temporary ".npy"
    assert(espquant.npy.save(path, DATA))
    for _, method in ipairs { "minmax", "entropy" } do
      local function text(source, threads)
        return assert(calibrator({ method = method, threads = threads }):measure_table(g, source)):to_json()
      end
      local want, at = text(DATA, 1), 0
      assert.equal(want, text(DATA, 2))
      assert.equal(want, text(DATA, 3))
      assert.equal(want, text({ DATA:slice(1, 9), DATA:slice(10, 70) }, 2))
      assert.equal(want, text(path))
      assert.equal(want, text(espquant.dataset(path)))
      assert.equal(want, text(function() -- runs once; entropy needs two passes
        at = at + 1
        return at <= 70 and DATA:slice(at, at) or nil
      end))
      at = 0
    end
    os.remove(path)
  end)

  it("of several inputs comes from data by name", function()
    local g = net.model [[
      input a N,4
      input b N,4
      const w 4,4
      Gemm a w -> y
      Add y b -> z
      output z
    ]]
    local a, b = net.tensor({ 8, 4 }, 1, 0.9), net.tensor({ 8, 4 }, 2, 0.9)
    local t = assert(calibrator():measure_table(g, { a = a, b = b }))
    assert.same({ -7, -7 }, { t:exponent "a", t:exponent "b" })
    local _, message, code = calibrator():measure_table(g, a)
    assert.equal("format", code)
    assert.matches("2 inputs (a, b)", message, 1, true)
    _, message = calibrator():measure_table(g, { a = a, b = b:slice(1, 7) })
    assert.matches("7 images", message, 1, true)
  end)

  it("of a model that mixes images comes from whole batches", function()
    local g = net.model "input x 4,4\n const w 4,4\n Transpose x -> t perm=1,0\n Gemm t w -> y\n output y"
    assert.is_table(calibrator():measure_table(g, net.tensor({ 8, 4 }, 1, 0.9)))
    local t, message = calibrator():measure_table(g, net.tensor({ 7, 4 }, 1, 0.9))
    assert.is_nil(t)
    assert.matches("4", message)
  end)

  it("has a measured exponent of the input where that is wanted", function()
    local g, wide = net.model(MODEL), net.tensor({ 4, 3, 6, 6 }, 5, 5.5)
    assert.equal(-4, calibrator({ input_exponent = "measured" }):measure_table(g, wide):exponent "x")
    assert.equal(-5, calibrator({ input_exponent = -5 }):measure_table(g, wide):exponent "x")
    assert.equal(-5, calibrator({ input_exponent = { x = -5 } }):measure_table(g, wide):exponent "x")
    assert.equal(-4, calibrator({ input_exponent = { x = "measured" } }):measure_table(g, wide):exponent "x")
    assert.is_table(calibrator({ input_exponent = "measured", method = "entropy" }):measure_table(g, DATA))
    local t, message, code = calibrator({ input_exponent = { y = -5 } }):measure_table(g, wide)
    assert.same({ nil, "input_exponent names what is no input", "format" }, { t, message, code })
  end)
end)

describe("warnings", function()
  it("tell of inputs that are clipped, in chip mode", function()
    local g, wide, log = net.model(MODEL), net.tensor({ 4, 3, 6, 6 }, 5, 5.5), {}
    local c = calibrator { log = function(line) log[#log + 1] = line end }
    local t = c:generate_quantization_table(g, wide)
    assert.equal(1, #t.warnings)
    assert.equal("warning: " .. t.warnings[1], log[1])
    assert.matches("input 'x' reaches 5%.%d+, but its exponent %-7 holds 1 at most", t.warnings[1])
    assert.same({}, calibrator({ input_exponent = -4 }):measure_table(g, wide).warnings)
    assert.same({}, calibrator({ input_exponent = "measured" }):measure_table(g, wide).warnings)
    assert.same({}, calibrator({ mode = "original" }):measure_table(g, wide).warnings)
    local ones = core.tensor { 1, 3, 6, 6 }
    ones:fill(1)
    assert.same({}, calibrator():measure_table(g, ones).warnings)
  end)

  it("tell of a search without threshold, which the original refuses", function()
    local g = net.model("input x N,2\n const w 2,2\n Gemm x w -> y\n output y",
      { w = core.tensor_from({ { 1, 0 }, { 0, 1 } }, "float32") })
    local far = core.tensor_from({ { 0.9, 0.9001 }, { 0.9002, 0.9003 } }, "float32")
    local t = calibrator({ method = "entropy" }):measure_table(g, far)
    assert.equal(-7, t:exponent "y")
    assert.matches("'y': no threshold by entropy", t.warnings[1], 1, true)
    local none, message = calibrator({ method = "entropy", mode = "original" }):measure_table(g, far)
    assert.is_nil(none)
    assert.equal("All entries are 0 for this distribution", message)
    local zero = core.tensor { 2, 2 }
    assert.is_table(calibrator({ method = "entropy" }):measure_table(g, zero))
    none, message = calibrator({ method = "entropy", mode = "original" }):measure_table(g, zero)
    assert.is_nil(none)
    assert.matches("'y'", message)
  end)
end)

describe("a Calibrator refuses", function()
  it("data that does not fit, saying what fits", function()
    local g = net.model(MODEL)
    for _, case in ipairs {
      { core.tensor { 4, 3, 6, 5 }, "expects float32 Nx3x6x6, got float32 4x3x6x5" },
      { core.tensor { 4, 6, 6 }, "expects float32 Nx3x6x6, got float32 4x6x6" },
      { core.tensor { 0, 3, 6, 6 }, "no image" },
      { {}, "no image" },
      { function() end, "no image" },
      { "/no/such/file.npy", "/no/such/file.npy" },
    } do
      for _, method in ipairs { "minmax", "entropy" } do
        local c = calibrator { method = method }
        local t, message, code = c:measure_table(g, case[1])
        assert.is_nil(t)
        assert.is_true(code == "format" or code == "io", code)
        assert.matches(case[2], message, 1, true)
        assert.matches(case[2], raised(c.generate_quantization_table, c, g, case[1]).message, 1, true)
      end
    end
    assert.error_matches(function() calibrator():measure_table(g, 7) end, "got number")
  end)

  it("such data in the original's words where that is wanted", function()
    local g, c = net.model(MODEL), calibrator { mode = "original" }
    local err = raised(c.generate_quantization_table, c, g, core.tensor { 0, 3, 6, 6 })
    assert.equal("zero-size array to reduction operation maximum which has no identity", err.message)
    err = raised(c.generate_quantization_table, c, g, core.tensor { 4, 2, 6, 7 })
    assert.matches("Got invalid dimensions for input: x for the following indices\n index: 1 Got: 2 Expected: 3\n "
      .. "index: 3 Got: 7 Expected: 6\n Please fix", err.message, 1, true)
    assert.matches("expects float32 Nx3x6x6", tostring(err), 1, true)
    err = raised(c.generate_quantization_table, c, g, core.tensor { 3, 6, 6 })
    assert.matches("Invalid rank for input: x Got: 3 Expected: 4", err.message, 1, true)
  end)

  it("NaN and infinity, with the names of all tensors they reach", function()
    local g = net.model(MODEL)
    for _, x in ipairs { 0 / 0, 1 / 0 } do
      local data = net.tensor({ 4, 3, 6, 6 }, 5)
      data:fill(x)
      for _, method in ipairs { "minmax", "entropy" } do
        local t, _, code, problems = calibrator({ method = method }):measure_table(g, data)
        assert.same({ nil, "format" }, { t, code })
        assert.matches("'y' holds NaN or infinity", table.concat(problems, "\n"), 1, true)
        assert.matches("'r' holds NaN or infinity", table.concat(problems, "\n"), 1, true)
      end
    end
  end)

  it("models by check_model, which answers as the documents say, or raises as the original does", function()
    local g = net.model "input x N,2\n Sigmoid x -> y\n output y"
    local status, problems = calibrator():check_model(g)
    assert.same({ -1, 1, "Sigmoid" }, { status, #problems, problems[1].op })
    local c = calibrator { mode = "original" }
    assert.matches("^Sigmoid is not supported on esp%-dl yet\n", raised(c.check_model, c, g).message)
    assert.equal(0, calibrator():check_model(net.model(MODEL)))
    c = calibrator()
    local err = raised(c.generate_quantization_table, c, g, core.tensor { 1, 2 })
    assert.same({ "unsupported", 1 }, { err.code, #err.problems })
  end)

  it("a path that cannot be written, and leaves nothing there", function()
    local c = calibrator()
    local err = raised(c.generate_quantization_table, c, net.model(MODEL), DATA, "/no/such/folder/t.pickle")
    assert.equal("io", err.code)
    assert.matches("/no/such/folder/t.pickle", err.message, 1, true)
  end)
end)

describe("export_coefficient_to_cpp", function()
  it("takes a table or its path, and logs", function()
    local folder, log = temporary "", {}
    assert(os.execute("mkdir " .. folder))
    local g, c = net.model(MODEL), calibrator { log = function(line) log[#log + 1] = line end }
    local t = c:generate_quantization_table(g, DATA, folder .. "/t.pickle")
    c:export_coefficient_to_cpp(g, folder .. "/t.pickle", "esp32s3", folder, "one")
    c:export_coefficient_to_cpp(g, t, "esp32s3", folder, "two")
    local one, two = assert(core.read_file(folder .. "/one.cpp")), assert(core.read_file(folder .. "/two.cpp"))
    assert.equal(one, (two:gsub("two", "one")))
    assert.equal("Converting coefficient to int8 per-tensor quantization for esp32s3", log[1])
    local err = raised(c.export_coefficient_to_cpp, c, g, "/no/such.pickle", "esp32s3", folder, "three")
    assert.equal("io", err.code)
    os.execute("rm -r " .. folder)
  end)
end)
