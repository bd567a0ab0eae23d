-- Bad tables and data: everything must work, or be refused by a message that names file and tensor, what was expected
-- and what came, with the right code. Models: hostile_spec.lua.
local cjson = require "cjson"
local core = require "espquant.core"
local errors = require "espquant.errors"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local mutate = require "spec.support.mutate"
local process = require "spec.support.process"
local refusal = require "spec.support.refusal"

local ASAN = os.getenv "ESPQ_LANE" == "asan"

local function quiet() end

local folder
setup(function() folder = process.folder() end)
teardown(function() process.remove(folder) end)

local function save(name, bytes)
  return process.write_file(folder .. "/" .. name, bytes)
end

describe("a quantization table", function()
  local model, images, good

  setup(function()
    local case = fixtures.open "leaky_net_112"
    model, images = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "input.npy"
    good = espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", log = quiet }
      :generate_quantization_table(model, images)
  end)

  local function evaluate(path, mode)
    local eva = espquant.Evaluator { bits = "int8", granularity = "per-channel", mode = mode }
    eva:generate_quantized_model(model, path)
    return eva:evaluate_quantized_model(images)
  end

  -- The good table as a document, edited, as a file.
  local function edited(edit)
    local doc = cjson.decode(good:to_json())
    edit(doc, doc.tensors)
    return save("edited.json", cjson.encode(doc))
  end

  local function refused(code, texts, edit)
    for _, mode in ipairs { "chip", "original" } do refusal.check(code, texts, evaluate, edited(edit), mode) end
  end

  it("is read as it was written", function()
    local expected = evaluate(good)
    for _, name in ipairs { "good.json", "good.pickle" } do
      local path = folder .. "/" .. name
      assert(good:save(path))
      for i, tensor in ipairs(evaluate(path)) do assert.is_true((tensor:equal(expected[i])), name) end
    end
  end)

  it("with exponents that no chip has", function()
    for _, e in ipairs { 1000000000, -1000000000, 1.5, "7", true } do
      refused("format", { "edited.json", "conv_w_1", tostring(e) }, function(_, t) t.conv_w_1.exponents[1] = e end)
    end
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1.exponents = 5 end)
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1.exponents = "none" end)
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1 = 7 end)
    refusal.check("format", { "Conv_0_out", "2 exponents", "expected one" }, evaluate,
      edited(function(_, t) t.Conv_0_out.exponents = { -7, -6 } end))
    refused("format", { "Conv_0_out" }, function(_, t) t.Conv_0_out.exponents = {} end)
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1.exponents = { -7, -7, -7 } end)
  end)

  it("at the edge of what is allowed", function()
    for _, e in ipairs { 1000, -1000 } do
      for _, name in ipairs { "conv_w_1", "Conv_0_out", "input" } do
        local path = edited(function(_, t)
          if not t[name] then name = model.inputs[1].name end
          for i = 1, #t[name].exponents do t[name].exponents[i] = e end
        end)
        for _, mode in ipairs { "chip", "original" } do
          local ok, outputs = pcall(evaluate, path, mode)
          assert.is_true(ok or errors.is(outputs), tostring(outputs))
        end
      end
    end
  end)

  it("with scales that are no powers of two, or no numbers", function()
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1.exponents, t.conv_w_1.scales = nil, "0.3" end)
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1.exponents, t.conv_w_1.scales = nil, { "a" } end)
    refusal.check("format", { "conv_w_1", "power of two" }, evaluate,
      edited(function(_, t)
        local n = #t.conv_w_1.exponents
        t.conv_w_1.exponents, t.conv_w_1.scales = nil, {}
        for i = 1, n do t.conv_w_1.scales[i] = 0.3 end
      end))
    for _, literal in ipairs { "NaN", "Infinity", "1e999" } do
      local path = save("literal.json", (good:to_json():gsub('"exponents": %[[-%d]+', '"exponents": [' .. literal, 1)))
      refusal.check("format", { path }, evaluate, path)
    end
  end)

  it("without a tensor, with too many, or in another order", function()
    refused("format", { "conv_w_1" }, function(d, t)
      t.conv_w_1 = nil
      for i, name in ipairs(d.order) do if name == "conv_w_1" then table.remove(d.order, i) end end
    end)
    refused("format", { "conv_w_1" }, function(_, t) t.conv_w_1 = nil end)
    refused("format", { "edited.json" }, function(d) d.order[1] = {} end)
    refused("format", { "edited.json" }, function(d) d.order[1] = 12 end)
    local expected = evaluate(good)[1]
    refused("format", { "edited.json", "'nobody'" }, function(_, t) t.nobody = { kind = "weight",
      exponents = { 3 } } end)
    local extra = edited(function(d, t)
      t.nobody, d.order[#d.order + 1] = { kind = "weight", exponents = { 3 } }, "nobody"
    end)
    assert.is_true((evaluate(extra)[1]:equal(expected)))
    local shuffled = edited(function(d) d.order = nil end)
    assert.is_true((evaluate(shuffled)[1]:equal(expected)))
  end)

  it("with a name twice", function()
    local path = save("twice.json", (good:to_json():gsub('"conv_w_1":', '"conv_w_0":', 1)))
    refusal.check("format", { path, "twice" }, evaluate, path)
  end)

  it("of another model, width or granularity", function()
    local other = fixtures.open "tiny_121"
    local t = espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", log = quiet }
      :generate_quantization_table(assert(core.onnx_decode(other.bytes "model.onnx")), other.tensor "input.npy")
    refusal.check("format", { "conv_w_3", "4 exponents for weight 'conv_w_1', expected 8" }, evaluate, t)
    refusal.check("format", { "conv_w_3 is not provided", "not complete" }, evaluate, t, "original")
    refusal.check("format", { "conv_w_1", "the table has 'nobody', which is no tensor of the model" }, evaluate,
      edited(function(d, doc)
        doc.nobody, d.order = { kind = "weight", exponents = { 3 } }, nil
        doc.conv_w_1 = nil
      end))
    local mistakes = { "1000000000 is not allowed", "no kind nothing", "tensor 'conv_w_1'", "3 mistakes" }
    refusal.check("format", mistakes, evaluate,
      edited(function(_, doc)
        doc.conv_w_1.exponents[1] = 1000000000
        doc.Conv_0_out.kind, doc.input.exponents = "nothing", {}
      end))
    refused("format", { "int16", "int8" }, function(d) d.bits = 16 end)
    refused("format", { "per-tensor", "per-channel" }, function(d) d.granularity = "per-tensor" end)
    for _, key in ipairs { "bits", "granularity", "runtime", "mode", "method" } do
      for _, value in ipairs { { 1 }, "nonsense", 3.5, true } do
        local ok, e = pcall(evaluate, edited(function(d) d[key] = value end))
        assert.is_true(ok or errors.is(e), key .. ": " .. tostring(e))
      end
    end
    refused("unsupported", { "edited.json", "version 2" }, function(d) d.version = 2 end)
    refused("format", { "edited.json", "espquant-table" }, function(d) d.format = "something" end)
  end)

  it("that is missing, empty, cut off or something else", function()
    refusal.check("io", { "missing.pickle" }, evaluate, folder .. "/missing.pickle")
    for name, bytes in pairs { ["empty.pickle"] = "", ["text.pickle"] = "hello", ["cut.json"] = good:to_json():sub(1,
      500),
      ["model.pickle"] = core.read_file "examples/mnist.onnx" } do
      refusal.check("format", { name }, evaluate, save(name, bytes))
    end
    refusal.check("limit", { "deep.json" }, evaluate, save("deep.json", '{"a":' .. ("["):rep(100000)))
  end)

  it("as a damaged pickle", function()
    local bytes = assert(good:to_pickle())
    local accepted = 0
    for number = 1, ASAN and 300 or 1000 do
      local rng = mutate.rng(number)
      local damaged = number % 3 == 0 and bytes:sub(1, rng(#bytes) - 1) or mutate.bytes(rng, bytes)
      local t, message, code = espquant.qtable.load(save("damaged.pickle", damaged))
      if t then
        accepted = accepted + 1
        for _, mode in ipairs { "chip", "original" } do
          local ok, e = pcall(evaluate, t, mode)
          assert.is_true(ok or (errors.is(e) and e.code ~= "bug"), number .. ": " .. tostring(e))
        end
        assert.is_string(tostring(t))
        assert.is_string(t:summary())
      else
        assert.matches("damaged.pickle: .+", message)
        assert.is_true(code == "format" or code == "unsupported" or code == "limit", code)
      end
    end
    assert.is_true(accepted > 10, accepted)
  end)

  it("to a place that cannot be written", function()
    local path = folder .. "/no/such/folder/t.pickle"
    refusal.check("io", { path }, good.save, good, path)
    refusal.check("io", { folder }, good.save, good, folder)
    local calib = espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", log = quiet }
    refusal.check("io", { path }, calib.generate_quantization_table, calib, model, images, path)
    refusal.check("io", { path }, espquant.onnx.save, model, path)
  end)
end)

describe("calibration data", function()
  local model, images

  setup(function()
    local case = fixtures.open "tiny_121"
    model, images = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "input.npy"
  end)

  local function calibrate(source, method, mode)
    return espquant.Calibrator { bits = "int8", granularity = "per-tensor", method = method or "minmax", mode = mode,
      log = quiet }
      :generate_quantization_table(model, source)
  end

  local function npy(descr, shape, data, fortran)
    local header = ("{'descr': '%s', 'fortran_order': %s, 'shape': (%s,), }"):format(descr,
      fortran and "True" or "False",
      table.concat(shape, ", "))
    return "\x93NUMPY\1\0" .. ("<s2"):pack(header .. "\n") .. data
  end

  it("of no image", function()
    refusal.check("format", { "no image" }, calibrate, {})
    refusal.check("format", { "no image" }, calibrate, core.tensor { 0, 3, 12, 12 })
    refusal.check("format", { "no image" }, calibrate, function() end)
    local path = save("none.npy", npy("<f4", { 0, 3, 12, 12 }, ""))
    refusal.check("format", { path, "no image" }, calibrate, path)
  end)

  it("of another shape or type", function()
    local input = model.inputs[1].name
    for _, shape in ipairs { { 2, 3, 12, 11 }, { 2, 12, 12, 3 }, { 5 }, { 2, 3, 12 }, { 1, 1, 3, 12, 12 } } do
      refusal.check("format", { input, "3x12x12", table.concat(shape, "x") }, calibrate, core.tensor(shape))
    end
    local path = save("wrong.npy", npy("<f4", { 1, 2 }, ("\0"):rep(8)))
    refusal.check("format", { path, input, "3x12x12", "1x2" }, calibrate, path)
    refusal.check("io", { folder .. "/missing.npy" }, calibrate, folder .. "/missing.npy")
    path = save("what.dat", "hello")
    refusal.check("format", { path }, calibrate, path)
    refusal.check("format", { "tensor expected, got number" }, calibrate, { 1, 2, 3 })
  end)

  it("of other types and orders gives the same table", function()
    local integers = images:quantize(-5, 8)
    local expected = tostring(calibrate(integers:astype "float32"))
    assert.equal(expected, tostring(calibrate(integers)))
    assert.equal(expected, tostring(calibrate(integers:astype "float64")))
    assert.equal(expected, tostring(calibrate(integers:astype "float16")))
    local shape, data = images.shape, {}
    for i, x in ipairs(integers:reshape({ -1 }):totable()) do data[i] = (">d"):pack(x) end
    assert.equal(expected, tostring(calibrate(save("big.npy", npy(">f8", shape, table.concat(data))))))
    local fortran = integers:transpose { 3, 2, 1, 0 }
    assert.equal(expected, tostring(calibrate(save("fortran.npy", npy("|i1", shape, fortran:tobytes(), true)))))
  end)

  it("with NaN or infinity", function()
    for _, x in ipairs { 0 / 0, math.huge, -math.huge } do
      local bad = images:copy()
      bad:reshape({ -1 })[100] = x
      for _, method in ipairs { "minmax", "entropy" } do
        refusal.check("format", { "NaN or infinity", model.outputs[1].name }, calibrate, bad, method)
        local ok, e = pcall(calibrate, bad, method, "original")
        assert.is_true(ok or errors.is(e), tostring(e))
      end
    end
  end)

  it("of one image, or all the same", function()
    for _, method in ipairs { "minmax", "entropy" } do
      assert.is_truthy(calibrate(images:slice(1, 1), method))
      for _, x in ipairs { 0, 0.25, -1, 1e38, 1e-45 } do
        local same = images:copy()
        same:fill(x)
        for _, mode in ipairs { "chip", "original" } do
          local ok, e = pcall(calibrate, same, method, mode)
          assert.is_true(ok or errors.is(e), tostring(e))
        end
      end
    end
  end)

  it("from an iterator that stops, fails or changes its mind", function()
    local n = 0
    local function three() n = n + 1 return n <= 3 and images:slice(n, n) or nil end
    assert.equal(tostring(calibrate(images:slice(1, 3), "entropy")), tostring(calibrate(three, "entropy")))
    n = 0
    refusal.check("format", { "batch 2", model.inputs[1].name, "3x12x12" }, calibrate, function()
      n = n + 1
      return n == 1 and images or core.tensor { 1, 1 }
    end)
    local ok, message = pcall(calibrate, function() error("my own error", 0) end)
    assert.is_false(ok)
    assert.equal("my own error", message)
  end)
end)

describe("images for the evaluator", function()
  it("that do not fit are refused, with what was expected", function()
    local case = fixtures.open "tiny_121"
    local model, images = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "input.npy"
    local t = espquant.Calibrator { bits = "int8", granularity = "per-tensor", method = "minmax", log = quiet }
      :generate_quantization_table(model, images)
    for _, mode in ipairs { "chip", "original" } do
      local eva = espquant.Evaluator { bits = "int8", granularity = "per-tensor", mode = mode }
      assert.has_error(function() eva:evaluate_quantized_model(images) end,
        "call generate_quantized_model before evaluate_quantized_model")
      eva:generate_quantized_model(model, t)
      refusal.check("format", { model.inputs[1].name, "2x3x12x11", "3x12x12" }, eva.evaluate_quantized_model, eva,
        core.tensor { 2, 3, 12, 11 })
      refusal.check("format", { model.inputs[1].name, "5x12", "3x12x12" }, eva.evaluate_quantized_model, eva,
        core.tensor { 5, 12 })
      local doubles = eva:evaluate_quantized_model(images:astype "float64")
      assert.is_true((doubles[1]:equal(eva:evaluate_quantized_model(images)[1])))
      local bad = images:copy()
      bad:reshape({ -1 })[100] = 0 / 0
      local ok, e = pcall(eva.evaluate_quantized_model, eva, bad)
      assert.is_true(ok or errors.is(e), tostring(e))
    end
  end)
end)
