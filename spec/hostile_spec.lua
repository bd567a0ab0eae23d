-- Bad input: damaged models, tables and data. Everything must work, or be refused by a message that names file, node or
-- tensor, what was expected and what came, with the right code; under the sanitizers, within seconds.
local core = require "espquant.core"
local errors = require "espquant.errors"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local mutate = require "spec.support.mutate"
local process = require "spec.support.process"
local cjson = require "cjson"

local ASAN = os.getenv "ESPQ_LANE" == "asan"

local function quiet() end

-- The whole text of a refusal, problems included, and its code: of a function that returns nil, message, code[, problems]
-- or raises an error object. Anything else fails.
local function refusal(f, ...)
  local r = table.pack(pcall(f, ...))
  local e = r[2]
  if r[1] then
    assert(r[2] == nil, "is accepted")
    e = errors.new(r[4], r[3], r[5])
  end
  assert.is_true(errors.is(e), "raises " .. tostring(e))
  return tostring(e), e.code
end

local function assert_refused(code, texts, f, ...)
  local message, got = refusal(f, ...)
  assert.is_string(message)
  for _, text in ipairs(texts) do assert.matches(text, message, 1, true) end
  assert.equal(code, got, message)
end

local folder
setup(function() folder = process.folder() end)
teardown(function() process.remove(folder) end)

local function save(name, bytes)
  return process.write_file(folder .. "/" .. name, bytes)
end

describe("damaged models", function()
  -- A child each, so that a crash, a leak or a hang is a failure that names its mutant.
  local function run(model, last)
    local first = 1
    local env = { ESPQ_BUILD = os.getenv "ESPQ_BUILD" or "build" }
    for key, value in pairs(process.lua_env) do env[key] = value end
    env.LUA_PATH = process.root .. "/?.lua;" .. env.LUA_PATH
    if os.getenv "ESPQ_PRELOAD" then env.LD_PRELOAD = os.getenv "ESPQ_PRELOAD" end
    local r = process.run({ "timeout", "120", "lua5.4", "spec/hostile/mutants.lua", model, first, last, folder },
      { cwd = process.root, env = env })
    assert.equal(0, r.status, r.stderr:sub(-4000) .. r.stdout)
    assert.is_nil(r.stdout:match "VIOLATION", r.stdout)
    local mutants, peak = r.stdout:match "TOTAL (%d+) mutants, 0 violations, .* peak (%d+) MB"
    assert.equal(last - first + 1, tonumber(mutants))
    assert.is_true(tonumber(peak) < 1024, peak .. " MB")
    return r.stdout
  end

  -- The mutants must reach these steps, and be refused at most of them.
  local QUANTIZED = { "calibrate", "table save", "table load", "generate chip", "evaluate chip" }
  local ORIGINAL = { "generate original", "evaluate original" }
  local REFUSED = { "decode", "check", "infer", "optimize", "executor", "run", "calibrate" }
  local MODELS = {
    { "examples/mnist.onnx", QUANTIZED, ORIGINAL }, { "leaky_net_112", QUANTIZED, ORIGINAL },
    { "inception_104", QUANTIZED, ORIGINAL }, { "everything on the chip", QUANTIZED, {} }, { "everything", {}, {} },
  }

  for _, case in ipairs(MODELS) do
    it(case[1] .. ": read, optimized, calibrated, simulated, or refused", function()
      local text = run(case[1], ASAN and 200 or 300)
      for _, steps in ipairs { { "optimize", "run" }, case[2], case[3] } do
        for _, step in ipairs(steps) do assert.matches("\n" .. step .. ": [^\n]*ok %d", text) end
      end
      for _, step in ipairs(REFUSED) do assert.matches("\n" .. step .. ": format %d", text) end
    end)
  end

  it("truncated at every byte", function()
    local bytes = fixtures.open "tiny_121".bytes "model.onnx"
    for at = 0, #bytes - 1 do
      local graph, message, code = core.onnx_decode(bytes:sub(1, at))
      assert.is_nil(graph, at)
      assert.equal("format", code, at)
      assert.is_true(#message > 20, message)
    end
  end)
end)

describe("a model file", function()
  local function load(name, bytes)
    local path = save(name, bytes)
    return path, function() return espquant.onnx.load(path) end
  end

  it("that is missing, a folder, empty or no ONNX", function()
    local missing = folder .. "/missing.onnx"
    assert_refused("io", { missing }, espquant.onnx.load, missing)
    assert_refused("io", { folder }, espquant.onnx.load, folder)
    for name, bytes in pairs { empty = "", text = "hello, this is no model\n", zeros = ("\0"):rep(100) } do
      local path, f = load(name .. ".onnx", bytes)
      assert_refused("format", { path, "ONNX model" }, f)
    end
    assert_refused("io", { missing }, espquant.optimizer.optimize_fp_model, missing)
    assert_refused("format", { "model.txt", ".onnx" }, espquant.optimizer.optimize_fp_model, "model.txt")
  end)

  it("cut in the middle", function()
    local path, f = load("cut.onnx", core.read_file "examples/mnist.onnx":sub(1, 50000))
    assert_refused("format", { path, "ModelProto.graph", "93063", "49951" }, f)
  end)

  it("never leaves an output behind when it is refused", function()
    local path = save("broken.onnx", core.read_file "examples/mnist.onnx":sub(1, 50000))
    assert_refused("format", { path }, espquant.optimizer.optimize_fp_model, path)
    assert.is_nil(io.open(folder .. "/broken_optimized.onnx"))
  end)
end)

describe("a model", function()
  local function conv(edit)
    local g = core.graph { name = "bad", opset = 13 }
    local x = g:add_input("x", "float32", { "N", 1, 4, 4 })
    local w = g:add_constant("w", core.tensor { 2, 1, 3, 3 })
    local c = g:add_node { op_type = "Conv", name = "first", inputs = { x, w }, outputs = { "c" } }
    local y = g:add_node { op_type = "Relu", name = "second", inputs = { c:output(1) }, outputs = { "y" } }
    g:add_output(y:output(1))
    if edit then edit(g, c, y) end
    return g
  end

  local function decode(g) return core.onnx_decode((assert(core.onnx_encode(g)))) end

  local function calibrate(g, images, mode)
    return espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", mode = mode, log = quiet }
      :generate_quantization_table(g, images or core.tensor { 2, 1, 4, 4 })
  end

  it("of an opset before 7, or with none", function()
    assert_refused("unsupported", { "opset version is 5", "expected 7" }, decode, conv(function(g) g.opset = 5 end))
  end)

  it("with operators that nobody knows: all of them, with node and remedy", function()
    local g = conv(function(g, _, y)
      y:set_input(1, g:add_node { op_type = "Strange", name = "odd", domain = "com.example", inputs = { g:value "c" },
        outputs = 1, before = y }:output(1))
    end)
    assert_refused("unsupported", { "Strange 'odd'", "com.example" }, g.check, g)
    local message, code = refusal(calibrate, g)
    assert.equal("unsupported", code)
    assert.matches("1 node of the model cannot be quantized.*Strange 'odd'.*replace it before quantization", message)
  end)

  it("with ten thousand of them, in a moment", function()
    local g = conv()
    local before = g:node "second"
    for i = 1, 10000 do
      before:set_input(1, g:add_node { op_type = "Sigmoid", name = "s" .. i, inputs = { before:input(1) }, outputs = 1,
        before = before }:output(1))
    end
    local started = os.clock()
    local message = refusal(calibrate, g)
    assert.matches("10000 nodes of the model cannot be quantized.*Sigmoid 's1'.*Sigmoid 's10000'", message)
    assert.is_true(os.clock() - started < 3, os.clock() - started)
  end)

  it("with a cycle", function()
    local g = conv(function(g, c) c:set_input(1, g:value "y") end)
    assert_refused("format", { "cycle", "Conv 'first'", "Relu 'second'" }, decode, g)
    assert_refused("format", { "Conv 'first'", "'y' is made by a node that comes later" }, g.infer_shapes, g)
    for _, mode in ipairs { "chip", "original" } do
      assert_refused("format", { "Conv 'first'", "'y'" }, calibrate, g, nil, mode)
    end
  end)

  it("with a tensor that nobody makes", function()
    local g = conv(function(g, c)
      c:set_input(2, g:add_input("w2", "float32", { 2, 1, 3, 3 }))
      g:remove_input(g:value "w2")
    end)
    assert_refused("format", { "Conv 'first'", "input 1 'w2' is made by nobody" }, decode, g)
    assert_refused("format", { "Conv 'first'", "'w2'" }, core.executor, g)
  end)

  it("with too few inputs, or attributes of another kind", function()
    local g = conv(function(_, c) c:set_inputs { c:input(1) } end)
    assert_refused("format", { "Conv 'first'", "1 inputs, expected at least 2" }, g.infer_shapes, g)
    assert_refused("format", { "Conv 'first'", "expected" }, calibrate, g)
    g = conv(function(_, c) c:set_attr("group", "two") end)
    assert_refused("format", { "Conv 'first'", "attribute 'group' is a string, expected an integer" }, g.check, g)
    assert_refused("format", { "Conv 'first'", "attribute 'group'" }, calibrate, g)
    g = conv(function(g, _, y)
      local leaky = g:add_node { op_type = "LeakyRelu", name = "leaky", inputs = { g:value "c" }, outputs = 1, before = y }
      leaky:set_attr("alpha", { 1, 2 })
      y:set_input(1, leaky:output(1))
    end)
    for _, mode in ipairs { "chip", "original" } do
      assert_refused("format", { "LeakyRelu 'leaky'", "attribute 'alpha' is a list of integers, expected a float" }, calibrate,
        g, nil, mode)
    end
  end)

  it("whose shapes do not fit", function()
    local g = conv(function(g) g:value "w":set_constant(core.tensor { 2, 5, 3, 3 }) end)
    assert_refused("format", { "Conv 'first'", "5", "1" }, g.infer_shapes, g)
    g = conv(function(g) g.inputs[1]:set_shape { "N", 1, 2, 2 } end)
    assert_refused("format", { "Conv 'first'", "a window of 3 pixels does not fit into 2" }, core.executor, g)
    assert_refused("format", { "Conv 'first'", "a window of 3 pixels" }, espquant.optimizer.optimize, g)
  end)

  it("with a layer whose result nobody reads works in both modes", function()
    local g = conv(function(g, _, y)
      g:add_node { op_type = "Conv", name = "dead", inputs = { g:value "x", g:value "w" }, outputs = { "d" }, before = y }
    end)
    local images = core.tensor { 2, 1, 4, 4 }
    images:fill(0.5)
    for mode, names in pairs { chip = { "y" }, original = { "y", "c/QACC_shift1:0" } } do
      local eva = espquant.Evaluator { bits = "int8", granularity = "per-channel", mode = mode }
      eva:generate_quantized_model(g, calibrate(g, images, mode))
      assert.same(names, select(2, eva:evaluate_quantized_model(images)))
    end
  end)

  it("with NaN or infinity among its weights", function()
    for text, x in pairs { ["nan"] = 0 / 0, ["inf"] = math.huge } do
      local t = core.tensor { 2, 1, 3, 3 }
      t:reshape({ -1 })[12] = x
      local g = conv(function(g) g:value "w":set_constant(t) end)
      local message, code = refusal(calibrate, g)
      assert.equal("unsupported", code)
      assert.matches("1 node of the model cannot be quantized.*Conv 'first'.*'w'.*" .. text, message)
    end
  end)

  it("of zeros, or with one value of 1e38, is quantized", function()
    for _, x in ipairs { 0, 1e38 } do
      local t = core.tensor { 2, 1, 3, 3 }
      t:reshape({ -1 })[12] = x
      local g = conv(function(g) g:value "w":set_constant(t) end)
      local images = core.tensor { 2, 1, 4, 4 }
      images:fill(0.5)
      local table = calibrate(g, images)
      local eva = espquant.Evaluator { bits = "int8", granularity = "per-channel" }
      eva:generate_quantized_model(g, table)
      local y = eva:evaluate_quantized_model(images, true)[1]
      assert.is_true(y:isfinite())
      local float = g:run(images)[1]
      assert.is_true((y - float):abs():max() <= float:max() / 32, tostring(y))
    end
  end)

  it("with a negative variance, or an epsilon of 0", function()
    for _, variance in ipairs { -1, 0 } do
      local g = conv(function(g, c, y)
        local function k(x)
          local t = core.tensor { 2 }
          t:fill(x)
          return g:add_constant(nil, t)
        end
        y:set_input(1, g:add_node { op_type = "BatchNormalization", name = "bn", before = y, outputs = 1,
          inputs = { c:output(1), k(1), k(0), k(0), k(variance) }, attrs = { epsilon = 0.0 } }:output(1))
      end)
      local ok, optimized = pcall(espquant.optimizer.optimize, g)
      if ok then assert_refused("unsupported", { "cannot be quantized" }, calibrate, optimized)
      else assert.is_true(errors.is(optimized), tostring(optimized)) end
    end
  end)
end)

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
    for _, mode in ipairs { "chip", "original" } do assert_refused(code, texts, evaluate, edited(edit), mode) end
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
    assert_refused("format", { "Conv_0_out", "2 exponents", "expected one" }, evaluate,
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
    assert_refused("format", { "conv_w_1", "power of two" }, evaluate,
      edited(function(_, t)
        local n = #t.conv_w_1.exponents
        t.conv_w_1.exponents, t.conv_w_1.scales = nil, {}
        for i = 1, n do t.conv_w_1.scales[i] = 0.3 end
      end))
    for _, literal in ipairs { "NaN", "Infinity", "1e999" } do
      local path = save("literal.json", (good:to_json():gsub('"exponents": %[[-%d]+', '"exponents": [' .. literal, 1)))
      assert_refused("format", { path }, evaluate, path)
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
    refused("format", { "edited.json", "'nobody'" }, function(_, t) t.nobody = { kind = "weight", exponents = { 3 } } end)
    local extra = edited(function(d, t)
      t.nobody, d.order[#d.order + 1] = { kind = "weight", exponents = { 3 } }, "nobody"
    end)
    assert.is_true((evaluate(extra)[1]:equal(expected)))
    local shuffled = edited(function(d) d.order = nil end)
    assert.is_true((evaluate(shuffled)[1]:equal(expected)))
  end)

  it("with a name twice", function()
    local path = save("twice.json", (good:to_json():gsub('"conv_w_1":', '"conv_w_0":', 1)))
    assert_refused("format", { path, "twice" }, evaluate, path)
  end)

  it("of another model, width or granularity", function()
    local other = fixtures.open "tiny_121"
    local t = espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", log = quiet }
      :generate_quantization_table(assert(core.onnx_decode(other.bytes "model.onnx")), other.tensor "input.npy")
    assert_refused("format", { "conv_w_3", "4 exponents for weight 'conv_w_1', expected 8" }, evaluate, t)
    assert_refused("format", { "conv_w_3 is not provided", "not complete" }, evaluate, t, "original")
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
    assert_refused("io", { "missing.pickle" }, evaluate, folder .. "/missing.pickle")
    for name, bytes in pairs { ["empty.pickle"] = "", ["text.pickle"] = "hello", ["cut.json"] = good:to_json():sub(1, 500),
      ["model.pickle"] = core.read_file "examples/mnist.onnx" } do
      assert_refused("format", { name }, evaluate, save(name, bytes))
    end
    assert_refused("limit", { "deep.json" }, evaluate, save("deep.json", '{"a":' .. ("["):rep(100000)))
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
    assert_refused("io", { path }, good.save, good, path)
    assert_refused("io", { folder }, good.save, good, folder)
    local calib = espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", log = quiet }
    assert_refused("io", { path }, calib.generate_quantization_table, calib, model, images, path)
    assert_refused("io", { path }, espquant.onnx.save, model, path)
  end)
end)

describe("calibration data", function()
  local model, images

  setup(function()
    local case = fixtures.open "tiny_121"
    model, images = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "input.npy"
  end)

  local function calibrate(source, method, mode)
    return espquant.Calibrator { bits = "int8", granularity = "per-tensor", method = method or "minmax", mode = mode, log = quiet }
      :generate_quantization_table(model, source)
  end

  local function npy(descr, shape, data, fortran)
    local header = ("{'descr': '%s', 'fortran_order': %s, 'shape': (%s,), }"):format(descr, fortran and "True" or "False",
      table.concat(shape, ", "))
    return "\x93NUMPY\1\0" .. ("<s2"):pack(header .. "\n") .. data
  end

  it("of no image", function()
    assert_refused("format", { "no image" }, calibrate, {})
    assert_refused("format", { "no image" }, calibrate, core.tensor { 0, 3, 12, 12 })
    assert_refused("format", { "no image" }, calibrate, function() end)
    local path = save("none.npy", npy("<f4", { 0, 3, 12, 12 }, ""))
    assert_refused("format", { path, "no image" }, calibrate, path)
  end)

  it("of another shape or type", function()
    local input = model.inputs[1].name
    for _, shape in ipairs { { 2, 3, 12, 11 }, { 2, 12, 12, 3 }, { 5 }, { 2, 3, 12 }, { 1, 1, 3, 12, 12 } } do
      assert_refused("format", { input, "3x12x12", table.concat(shape, "x") }, calibrate, core.tensor(shape))
    end
    local path = save("wrong.npy", npy("<f4", { 1, 2 }, ("\0"):rep(8)))
    assert_refused("format", { path, input, "3x12x12", "1x2" }, calibrate, path)
    assert_refused("io", { folder .. "/missing.npy" }, calibrate, folder .. "/missing.npy")
    path = save("what.dat", "hello")
    assert_refused("format", { path }, calibrate, path)
    assert_refused("format", { "tensor expected, got number" }, calibrate, { 1, 2, 3 })
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
        assert_refused("format", { "NaN or infinity", model.outputs[1].name }, calibrate, bad, method)
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
    assert_refused("format", { "batch 2", model.inputs[1].name, "3x12x12" }, calibrate, function()
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
      assert_refused("format", { model.inputs[1].name, "2x3x12x11", "3x12x12" }, eva.evaluate_quantized_model, eva,
        core.tensor { 2, 3, 12, 11 })
      assert_refused("format", { model.inputs[1].name, "5x12", "3x12x12" }, eva.evaluate_quantized_model, eva,
        core.tensor { 5, 12 })
      assert.is_true((eva:evaluate_quantized_model(images:astype "float64")[1]:equal(eva:evaluate_quantized_model(images)[1])))
      local bad = images:copy()
      bad:reshape({ -1 })[100] = 0 / 0
      local ok, e = pcall(eva.evaluate_quantized_model, eva, bad)
      assert.is_true(ok or errors.is(e), tostring(e))
    end
  end)
end)
