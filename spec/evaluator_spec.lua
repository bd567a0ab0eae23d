-- The Evaluator: its constructor and setters, tables that do not fit, data of every form, integers and floats.

local core = require "espquant.core"
local espquant = require "espquant"
local qtable = require "espquant.qtable"
local net = require "spec.support.net"

local Evaluator, errors = espquant.Evaluator, espquant.errors

local MODEL = [[
  input x N,1,4,4
  const w 3,1,3,3
  const b 3
  Conv x w b -> c pads=1,1,1,1
  LeakyRelu c -> l alpha=0.25
  MaxPool l -> m kernel_shape=2,2 strides=2,2
  Flatten m -> f
  const v 12,5
  Gemm f v -> y
  output y l
]]
local DATA = net.tensor({ 70, 1, 4, 4 }, 5, 0.99)
local CONFIGS = { { "int8", "per-tensor" }, { "int8", "per-channel" }, { "int16", "per-tensor" } }

local function quiet() end

local function calibrate(g, options, data)
  local o = { bits = "int8", log = quiet }
  for key, value in pairs(options or {}) do o[key] = value end
  return assert(espquant.Calibrator(o):measure_table(g, data or DATA))
end

-- An Evaluator with the model prepared.
local function prepared(g, options, t)
  local o = { bits = "int8" }
  for key, value in pairs(options or {}) do o[key] = value end
  local eva = Evaluator(o)
  eva:generate_quantized_model(g, t or calibrate(g, { bits = o.bits, granularity = o.granularity, mode = o.mode }))
  return eva
end

local function raised(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  return err
end

local function temporary(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

describe("an Evaluator", function()
  it("is made by position or by name, and tells what it is", function()
    local eva = Evaluator("int8", "per-channel", "esp32s3")
    assert.equal("Evaluator: int8 per-channel on esp32s3, chip mode", tostring(eva))
    assert.same({ "Concat", "GlobalMaxPool", "Max", "MaxPool", "Min" }, eva.supported_nonarithmetic_type)
    assert.same({ "CPUExecutionProvider" }, eva.providers)
    eva = prepared(net.model(MODEL), { mode = "chip" })
    assert.equal("Evaluator: int8 per-tensor on esp32s3, chip mode, with a model of 5 nodes", tostring(eva))
  end)

  it("refuses wrong options in the original's words", function()
    for text, arguments in pairs {
      ['supported quantization bit: 8 or 16; expected `int8` or `int16`, got "int4"'] = { "int4", "per-tensor" },
      ['supported granularity: `per-tensor` or `per-channel`, got "both"'] = { "int8", "both" },
      ['int16 only supports per-tensor quantization, got "per-channel"'] = { "int16", "per-channel" },
      ["currently only supports `esp32s3`, while received esp32"] = { "int8", "per-tensor", "esp32" },
    } do
      assert.has_error(function() Evaluator(table.unpack(arguments)) end, text)
    end
    local eva = Evaluator("int8", "per-tensor")
    assert.has_error(function() eva:set_target_chip "esp32c3" end,
      "currently only supports `esp32s3`, while received esp32c3")
    eva:set_target_chip "esp32s3"
    assert.equal("esp32s3", eva.chip)
  end)

  it("wants a model before images, and a provider that there is", function()
    local eva = Evaluator("int8", "per-tensor")
    assert.error_matches(function() eva:evaluate_quantized_model(DATA) end,
      "call generate_quantized_model before evaluate_quantized_model")
    eva = prepared(net.model(MODEL))
    eva:set_providers { "TensorrtExecutionProvider" }
    assert.matches("Specified provider 'TensorrtExecutionProvider' is unavailable",
      raised(eva.evaluate_quantized_model, eva, DATA).message, 1, true)
    assert.error_matches(function() eva:set_providers "CPU" end, "a list of names expected")
  end)

  it("has no model any more when the next one is refused", function()
    local eva = prepared(net.model(MODEL))
    raised(eva.generate_quantized_model, eva, net.model(MODEL), qtable.new {})
    assert.error_matches(function() eva:evaluate_quantized_model(DATA) end, "call generate_quantized_model")
  end)

  it("knows the original's misspelt name", function()
    assert.equal(Evaluator("int8").evaluate_quantized_model, Evaluator("int8").evalute_quantized_model)
  end)
end)

describe("results", function()
  it("are integers of the chip, or floats near those of the model", function()
    local g = net.model(MODEL)
    local want = assert(core.executor(g)):run(DATA)
    for _, c in ipairs(CONFIGS) do
      for _, mode in ipairs { "chip", "original" } do
        local eva = prepared(g, { bits = c[1], granularity = c[2], mode = mode })
        local ints, names = eva:evaluate_quantized_model(DATA)
        local floats = eva:evalute_quantized_model(DATA, true)
        local label = table.concat({ c[1], c[2], mode }, " ")
        assert.same({ "y", "l" }, { names[1], names[2] }, label)
        assert.equal(mode == "chip" and c[1] or "float32", ints[1].dtype, label)
        for i, tensor in ipairs(want) do
          assert.equal("float32", floats[i].dtype)
          local db = net.snr(tensor, floats[i])
          assert.is_true(db > (c[1] == "int8" and 18 or 55), ("%s '%s': %.1f dB"):format(label, names[i], db))
          local scaled = ints[i]:astype "float32" * 2.0 ^ eva.table:exponent(names[i])
          assert.is_true(scaled:equal(floats[i]), label)
        end
      end
    end
  end)

  it("of the original per channel have its extra outputs, also as floats", function()
    local eva = prepared(net.model(MODEL), { granularity = "per-channel", mode = "original" })
    local ints, names = eva:evaluate_quantized_model(DATA)
    assert.same({ "y", "l", "c/QACC_shift1:0", "y/QACC_shift1:0" }, names)
    local floats = eva:evaluate_quantized_model(DATA, true)
    assert.is_true((ints[4] * 2.0 ^ eva.table:exponent "y"):equal(floats[4]))
    assert.is_true(ints[4]:minimum(127):maximum(-128):equal(ints[1]))
  end)

  it("are of the tensors asked for", function()
    local eva = prepared(net.model(MODEL), { outputs = { "m", "c" } })
    local _, names = eva:evaluate_quantized_model(DATA, true)
    assert.same({ "m", "c" }, names)
    local g = net.model(MODEL)
    assert.error_matches(function() prepared(g, { outputs = { "nothing" } }) end, "no tensor 'nothing'")
  end)

  it("use a scale that is no power of two as it is, in original mode", function()
    local g = net.model "input x N,2\n const w 2,2\n Gemm x w -> y\n output y"
    local t = calibrate(g, { mode = "original" }, net.tensor({ 4, 2 }, 1, 0.9))
    t:set("y", "activation").scales = { 0.01 }
    local eva = prepared(g, { mode = "original" }, t)
    local x = net.tensor({ 4, 2 }, 1, 0.9)
    local ints, floats = eva:evaluate_quantized_model(x)[1], eva:evaluate_quantized_model(x, true)[1]
    assert.is_true((ints * 0.01):equal(floats))
    assert.is_true(net.snr(assert(core.executor(g)):run(x)[1], floats) > 20)
  end)

  it("are the same for any number of threads and form of data", function()
    local g, path = net.model(MODEL), temporary ".npy"
    local t = calibrate(g)
    local want = prepared(g, { threads = 1 }, t):evaluate_quantized_model(DATA)
    local eva = prepared(g, { threads = 2 }, t)
    assert(espquant.npy.save(path, DATA))
    for _, images in ipairs { DATA, { DATA:slice(1, 9), DATA:slice(10, 70) }, path, espquant.dataset(path),
      DATA:reshape { 70, 4, 4 }, DATA:copy() } do
      local got = eva:evaluate_quantized_model(images)
      assert.is_true(want[1]:equal(got[1]))
      assert.is_true(want[2]:equal(got[2]))
    end
    os.remove(path)
    local bytes = core.tensor_from({ 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1 }, "uint8", { 1, 1, 4, 4 })
    want = eva:evaluate_quantized_model(bytes:astype "float32")
    assert.is_true(eva:evaluate_quantized_model(bytes)[1]:equal(want[1]))
  end)

  it("of several inputs come from a list or names", function()
    local g = net.model "input a N,4\n input b N,4\n const w 4,4\n Gemm a w -> y\n Add y b -> z\n output z"
    local a, b = net.tensor({ 8, 4 }, 1, 0.9), net.tensor({ 8, 4 }, 2, 0.9)
    local eva = prepared(g, {}, calibrate(g, {}, { a = a, b = b }))
    local want = eva:evaluate_quantized_model { a, b }
    assert.is_true(want[1]:equal(eva:evaluate_quantized_model({ a = a, b = b })[1]))
    assert.matches("2 inputs", raised(eva.evaluate_quantized_model, eva, a).message, 1, true)
  end)

  it("of a model that mixes images come in its own batches", function()
    local g = net.model "input x 4,4\n const w 4,4\n Transpose x -> t perm=1,0\n Gemm t w -> y\n output y"
    local x = net.tensor({ 8, 4 }, 1, 0.9)
    local eva = prepared(g, {}, calibrate(g, {}, x))
    local all = eva:evaluate_quantized_model(x)[1]
    assert.is_true(all:slice(5, 8):equal(eva:evaluate_quantized_model(x:slice(5, 8))[1]))
    assert.matches("input 'x' has 7 images, but the model takes them 4 at a time",
      raised(eva.evaluate_quantized_model, eva, x:slice(1, 7)).message, 1, true)
  end)

  it("are refused for images that do not fit", function()
    local eva = prepared(net.model(MODEL))
    assert.equal("format", raised(eva.evaluate_quantized_model, eva, core.tensor { 2, 2, 4, 4 }).code)
    assert.matches("x", raised(eva.evaluate_quantized_model, eva, core.tensor { 2, 5, 5 }).message)
    assert.matches("no image", raised(eva.evaluate_quantized_model, eva, {}).message)
    assert.matches("/no/such", raised(eva.evaluate_quantized_model, eva, "/no/such.npy").message)
  end)
end)

describe("a table", function()
  it("is taken from a file, the original's or ours", function()
    local g = net.model(MODEL)
    local t = calibrate(g, { granularity = "per-channel" })
    local want = prepared(g, { granularity = "per-channel" }, t):evaluate_quantized_model(DATA)[1]
    for _, ending in ipairs { ".pickle", ".json" } do
      local path = temporary(ending)
      assert(t:save(path))
      assert.is_true(want:equal(prepared(g, { granularity = "per-channel" }, path):evaluate_quantized_model(DATA)[1]))
      os.remove(path)
    end
    assert.equal("io", raised(prepared, g, {}, "/no/such/table.pickle").code)
  end)

  it("of another width, granularity or runtime is refused, naming both", function()
    local g = net.model(MODEL)
    local wide, channel = calibrate(g, { bits = "int16" }), calibrate(g, { granularity = "per-channel" })
    assert.equal("the table is for int16, the evaluator for int8", raised(prepared, g, {}, wide).message)
    assert.equal("the table is per-channel, the evaluator per-tensor", raised(prepared, g, {}, channel).message)
    wide.facts.bits, channel.facts.granularity = nil, nil -- as from a pickle
    assert.equal("the table is for int16, the evaluator for int8", raised(prepared, g, {}, wide).message)
    assert.matches("has 3 exponents for weight 'w', expected 1 (per-tensor)",
      tostring(raised(prepared, g, {}, channel)), 1, true)
    assert.matches("has 3 scales for weight 'w', expected 1 (per-tensor)",
      tostring(raised(prepared, g, { mode = "original" }, channel)), 1, true)
    assert.is_table(prepared(g, { mode = "original" }, wide)) -- as the original, which takes any width
    local other = calibrate(g)
    other.facts.runtime = "v3"
    assert.equal("the table is for runtime v3, the evaluator for v1", raised(prepared, g, {}, other).message)
  end)

  it("of another model is refused with all that is missing", function()
    local g = net.model(MODEL)
    local other = calibrate(net.model "input x N,1,4,4\n const w 3,1,3,3\n Conv x w -> z\n output z")
    local err = raised(prepared, g, { mode = "original" }, other)
    assert.equal("the provided quantization table is not complete", err.message)
    local names = { "b", "c", "l", "f", "v", "y" }
    assert.equal(#names, #err.problems)
    for i, name in ipairs(names) do
      assert.equal(("the quantization parameter for %s is not provided"):format(name), err.problems[i].cause)
    end
    err = raised(prepared, g, {}, other)
    assert.equal("the quantization table is not complete or of another model", err.message)
    for _, name in ipairs { "c", "l", "m", "f", "y", "v", "LeakyRelu_l_alpha" } do
      assert.matches("parameter for " .. name .. " is not provided", tostring(err), 1, true)
    end
  end)

  it("with an entry that holds nothing is refused in the original's words", function()
    local g = net.model(MODEL)
    local t = calibrate(g, { mode = "original" })
    t:get "w".exponents = {}
    local err = raised(prepared, g, { mode = "original" }, t)
    assert.same({ "the provided quantization table is not complete", "ValueError", 1 },
      { err.message, err.exception, #err.problems })
    assert.matches("^Conv 'Conv_c' %(.*the provided quantization parameter for w is empty",
      tostring(err.problems[1].message))
  end)

  it('without one for a constant operand is refused in "original" mode, of Max and Min (a split Clip), too', function()
    for _, line in ipairs { "Add r k", "Sub k r", "Mul r k", "Max r k", "Min r k", "Min k r" } do
      local g = net.model("input x N,3\n const w 3,3\n const k 1\n Gemm x w -> g\n Relu g -> r\n " .. line
        .. " -> y\n output y")
      local data = net.tensor({ 4, 3 }, 3, 0.9)
      local err = raised(prepared, g, { mode = "original" }, calibrate(g, { mode = "original" }, data))
      assert.equal("the provided quantization table is not complete", err.message)
      assert.equal("the quantization parameter for k is not provided", err.problems[1].cause)
      assert.equal('only mode "chip" quantizes constant operands', err.problems[1].remedy)
    end
  end)

  it("without entries is refused in the original's words", function()
    assert.equal("the provided quantization table is empty",
      raised(prepared, net.model(MODEL), { mode = "original" }, qtable.new {}).message)
  end)
end)
