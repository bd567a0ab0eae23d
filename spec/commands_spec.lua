--- The commands, run as a user runs them: output, exit codes, and what stays on the disk.
local cjson = require "cjson"
local core = require "espquant.core"
local npy = require "espquant.codec.npy"
local npz = require "espquant.codec.npz_writer"
local process = require "spec.support.process"

local folder
local MNIST = process.root .. "/examples/mnist.onnx"
local DIGITS = process.root .. "/examples/data/mnist/"
local CALIB = { "-d", DIGITS .. "calib-images-idx3-ubyte.gz", "--scale", "1/256" }
local TEST = { "-d", DIGITS .. "test-images-idx3-ubyte.gz", "--scale", "1/256" }
local LABELS = { "-l", DIGITS .. "test-labels-idx1-ubyte.gz" }

-- Words and lists of words, as one command line.
local function espquant(...)
  local words = { process.espquant }
  for _, word in ipairs { ... } do
    for _, each in ipairs(type(word) == "table" and word or { word }) do words[#words + 1] = each end
  end
  return process.run(words, { cwd = folder })
end

local function path(name) return folder .. "/" .. name end

local function read(name)
  local file = io.open(path(name), "rb")
  if not file then return nil end
  local bytes = file:read "a"
  file:close()
  return bytes
end

local function put(name, bytes) return process.write_file(path(name), bytes) end

local function files()
  local names, pipe = {}, assert(io.popen("ls -A '" .. folder .. "'"))
  for name in pipe:lines() do names[#names + 1] = name end
  pipe:close()
  return names
end

local function record(t, name) return { name = name, dtype = t.dtype, shape = t.shape, data = t:tobytes() } end

local function put_npy(name, shape, dtype) return put(name, npy.encode(record(core.tensor(shape, dtype)))) end

-- Writes a model of one input `x` of Nx4; build(graph, x) returns the output.
local function put_model(name, build)
  local g = core.graph { name = "m", opset = 13 }
  local x = g:add_input("x", "float32", { "N", 4 })
  g:add_output(build(g, x))
  assert(core.onnx_write(g, path(name)))
end

local function node(g, op_type, inputs, attrs)
  return g:add_node { op_type = op_type, name = op_type:lower(), inputs = inputs, outputs = { op_type .. "_out" },
    attrs = attrs }:output(1)
end

local function weight(g, value, name)
  local t = core.tensor { 4, 4 }
  t:fill(value)
  return g:add_constant(name or "w", t)
end

-- A run that fails: its status, one message that begins with "espquant: " and no traceback, and no new file.
local function fails(status, parts, ...)
  local before = files()
  local r = espquant(...)
  assert.equal(status, r.status, r.stderr)
  assert.matches("espquant: ", r.stderr, 1, true)
  assert.is_nil(r.stderr:find("traceback", 1, true), r.stderr)
  for _, part in ipairs(parts) do assert.truthy(r.stderr:find(part, 1, true), r.stderr) end
  assert.same(before, files())
  return r
end

describe("the commands", function()
  setup(function()
    folder = process.folder()
    assert.equal(0, espquant("optimize", MNIST, "-o", "m.onnx").status)
    assert.equal(0, espquant("calibrate", "m.onnx", CALIB, "-o", "m.json", "--granularity", "per-channel",
      "--method", "entropy").status)
  end)
  teardown(function() process.remove(folder) end)

  it("all have a summary and --help", function()
    local help = espquant("help").stdout
    for _, name in ipairs { "calibrate", "check", "evaluate", "export", "info", "ops", "optimize", "run" } do
      assert.matches("\n  " .. name .. " +%w", help)
      local r = espquant(name, "--help")
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("^Examples:\n   espquant " .. name .. ".*\n\nUsage: espquant " .. name, r.stdout)
    end
  end)

  describe("optimize", function()
    it("folds a model and says what changed", function()
      local r = espquant("optimize", MNIST, "-o", "o.onnx")
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("^fuse_bn_into_conv +5 changes\no.onnx: 16 nodes, before 21\nlargest difference on random input: "
        .. "%S+ of the largest number, in 'output'\n$", r.stdout)
      assert.equal(16, #assert(core.onnx_read(path "o.onnx")))
    end)

    it("applies chosen passes, in JSON", function()
      local facts = cjson.decode(espquant("optimize", MNIST, "-o", "p.onnx", "--passes",
        "eliminate_identity,eliminate_nop_pad", "--json").stdout)
      assert.same({ output = "p.onnx", nodes = 21, nodes_before = 21, passes = {
        { name = "eliminate_identity", changes = 0 }, { name = "eliminate_nop_pad", changes = 0 },
      }, verify = { difference = 0, output = "output", compared = 1, skipped = {} } }, facts)
    end)

    it("lists the passes with what they do, and those that are refused with the reason", function()
      local list = espquant("optimize", "--list").stdout
      assert.matches("\neliminate_nop_cast\n    Before: x %-> Cast to", list)
      assert.matches("\nfuse_bn_into_conv  (also in optimize_fp_model)\n    Before: Conv", list, 1, true)
      assert.matches("\nsplit_clip  (only when named)\n", list, 1, true)
      assert.matches("\nsplit_init  (refused: it cuts out", list, 1, true)
      assert.equal(list, espquant("optimize", "--list-passes").stdout)
      fails(2, { "pass 'fuse_qkv' is not done: it makes" }, "optimize", "m.onnx", "--passes", "nop,fuse_qkv")
    end)

    it("traces the changes, repeats the list, and leaves the proof out", function()
      local r = espquant("optimize", MNIST, "-o", "t.onnx", "--trace", "--fixed-point", "--no-verify")
      assert.matches("^fuse_bn_into_conv: BatchNormalization '", r.stderr)
      assert.matches("^fuse_bn_into_conv +5 changes\nt.onnx: 16 nodes, before 21\n$", r.stdout)
    end)

    it("equalizes at last, and wants that for data", function()
      local r = espquant("optimize", MNIST, "-o", "e.onnx", "--equalize")
      assert.matches("\nequalize_weights +4 changes\ne.onnx: 16 nodes, before 21\n", r.stdout)
      fails(2, { "--data is for --equalize and" }, "optimize", MNIST, "-o", "e.onnx", "--data", "d.npy")
      fails(2, { "--bias-correct needs --data" }, "optimize", MNIST, "-o", "e.onnx", "--bias-correct")
    end)

    it("runs what is only run on request before the others", function()
      put_model("soft6.onnx", function(g, x)
        return node(g, "Softmax", { assert(g:add_node { op_type = "Clip", inputs = { x,
          g:add_constant("low", core.tensor_from({ 0 }, "float32", {})),
          g:add_constant("high", core.tensor_from({ 6 }, "float32", {})) } }):output(1) })
      end)
      local r = espquant("optimize", "soft6.onnx", "-o", "hard.onnx", "--also", "cut_final_softmax,split_clip")
      assert.same({ 0, "espquant: note: output 'Softmax_out' was not compared\n" }, { r.status, r.stderr })
      assert.matches("^cut_final_softmax +1 change\nsplit_clip +1 change\nhard.onnx: 2 nodes, before 2\n$", r.stdout)
      r = espquant("optimize", "soft6.onnx", "-o", "hard.onnx", "--also", "split_clip", "--passes",
        "eliminate_identity")
      assert.matches("^split_clip +1 change\nhard.onnx: 3 nodes, before 2\nlargest difference on random input: 0 of",
        r.stdout)
    end)

    it("makes the batch dynamic", function()
      local g = core.graph { name = "m", opset = 13 }
      g:add_output(node(g, "Relu", { g:add_input("x", "float32", { 1, 4 }) }))
      assert(core.onnx_write(g, path "fixed.onnx"))
      assert.equal(0, espquant("optimize", "fixed.onnx", "--dynamic-batch").status)
      assert.same({ "N", 4 }, assert(core.onnx_read(path "fixed_optimized.onnx")).inputs[1].shape)
    end)

    it("never writes over its input and knows its passes", function()
      fails(2, { "'./m.onnx' is an input" }, "optimize", "m.onnx", "-o", "./m.onnx")
      local id = "eliminate_identity"
      for list, words in pairs {
        fuse = "unknown pass 'fuse'", [","] = "the name of a pass is missing", [""] = "the name of a pass is missing",
        [id .. ","] = "the name of a pass is missing", [id .. "," .. id] = "pass 'eliminate_identity' comes twice",
      } do
        fails(2, { words, "--list-passes" }, "optimize", "m.onnx", "--passes", list)
      end
      fails(2, { "missing argument 'model'" }, "optimize")
    end)
  end)

  describe("check", function()
    it("answers 0 for a model that can be quantized", function()
      local r = espquant("check", "m.onnx", "--bits", "int16")
      assert.same({ status = 0, stdout = "m.onnx: can be quantized (16 nodes)\n"
        .. "next: espquant calibrate m.onnx --data IMAGES.npy --bits int16\n", stderr = "" }, r)
      assert.same({ supported = true, target = "esp32c3", problems = {}, notes = {}, saturating_layers = {},
        next = "espquant calibrate m.onnx --data IMAGES.npy --target esp32c3" },
        cjson.decode(espquant("check", "m.onnx", "--json", "--target", "esp32c3").stdout))
    end)

    it("answers 1 with every reason at once", function()
      put_model("soft.onnx", function(g, x) return node(g, "Softmax", { node(g, "Sigmoid", { x }) }) end)
      local r = espquant("check", "soft.onnx")
      assert.same({ 1, "" }, { r.status, r.stderr })
      assert.matches("2 nodes of the model cannot be quantized", r.stdout)
      assert.matches(
        "\n  %- Sigmoid 'sigmoid' %(Nx4 %-> Nx4%): Sigmoid has no integer form on the chip\n      end the model",
        r.stdout)
      assert.matches("%- Softmax 'softmax'", r.stdout)
      r = espquant("check", "soft.onnx", "--json")
      local facts = cjson.decode(r.stdout)
      assert.same({ 1, false, 2 }, { r.status, facts.supported, #facts.problems })
      assert.equal("Sigmoid", facts.problems[1].operator)
    end)

    it("answers 3 for a model that is not valid, also with every reason", function()
      put_model("misfit.onnx", function(g, x)
        node(g, "Gemm", { x, g:add_constant("w", core.tensor { 5, 4 }) })
        return node(g, "Sigmoid", { node(g, "Add", { x, g:add_constant("k", core.tensor { 3 }) }) })
      end)
      local r = espquant("check", "misfit.onnx")
      assert.same({ 3, "" }, { r.status, r.stderr })
      assert.matches("misfit.onnx: 3 nodes of the model cannot be quantized\n  %- Gemm 'gemm' %(Nx4, 5x4 %-> %?%): ",
        r.stdout)
      assert.matches("Add 'add' %(Nx4, 3 %-> %?%): shapes %?x4 and 3 do not broadcast", r.stdout)
    end)

    it("notes what no chip was measured for", function()
      put_model("ours.onnx", function(g, x) return node(g, "Identity", { node(g, "Mul", { x, x }) }) end)
      local r = espquant("check", "ours.onnx")
      assert.equal(0, r.status)
      assert.matches(
        "^ours.onnx: can be quantized %(2 nodes%)\n  note: Mul: what a chip computes here was never measured;"
        .. " [^\n]+ %(mul%)\n  note: Identity: ", r.stdout)
      local notes = cjson.decode(espquant("check", "ours.onnx", "--json").stdout).notes
      assert.same({ 2, "Mul", { "mul" } }, { #notes, notes[1].operator, notes[1].nodes })
      local calib = require "espquant".Calibrator "int8"
      assert.same(notes[1].message, select(3, calib:check_model(assert(core.onnx_read(path "ours.onnx"))))[1].message)
    end)

    it("answers in the original's words in original mode", function()
      local r = espquant("check", MNIST, "--mode", "original")
      assert.equal(1, r.status)
      assert.matches("BatchNormalization is not supported on esp%-dl yet\ncurrent model is not supported", r.stdout)
      put_model("relu.onnx", function(g, x) return node(g, "Relu", { x }) end) -- which only calibration refuses
      assert.matches("has no attribute 'op_type'", espquant("check", "relu.onnx", "--mode", "original").stdout)
      assert.equal(0, espquant("check", "relu.onnx").status)
    end)
  end)

  describe("calibrate", function()
    it("writes the table that it is asked for, the same each time", function()
      local r = espquant("calibrate", "m.onnx", CALIB, "--threads", "1", "-o", "again.json",
        "--granularity", "per-channel", "--method", "entropy")
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("^input +1  2^%-7\nactivation +16 .*\nagain.json: 29 entries from 500 images\n$", r.stdout)
      assert.equal(read "m.json", read "again.json")
      local table_ = cjson.decode(read "m.json")
      assert.same({ 8, "per-channel", "entropy", "chip", -7 },
        { table_.bits, table_.granularity, table_.method, table_.mode, table_.tensors.input.exponents[1] })
    end)

    it("writes a pickle beside the model by default, and facts as JSON", function()
      local r = espquant("calibrate", "m.onnx", CALIB, "--bits", "int16", "--json")
      local facts, model = cjson.decode(r.stdout), assert(core.onnx_read(path "m.onnx"))
      assert.equal(core.sha256(core.onnx_encode(model)), facts.model)
      facts.model = nil
      assert.same({ output = "m_calib.pickle", images = 500, entries = 29, bits = 16, granularity = "per-tensor",
        method = "minmax", mode = "chip", target = "esp32s3", isa = core.isa(),
        tool = "espquant " .. require "espquant.version", warnings = {}, boundary = {} }, facts)
      assert.equal("\x80\3", read "m_calib.pickle":sub(1, 2))
    end)

    it("takes several inputs from files by name and from .npz", function()
      local g = core.graph { name = "two", opset = 13 }
      local a, b = g:add_input("a", "float32", { "N", 4 }), g:add_input("b", "float32", { "N", 4 })
      g:add_output(node(g, "Add", { a, b }))
      assert(core.onnx_write(g, path "two.onnx"))
      local t = core.tensor { 3, 4 }
      t:fill(0.75)
      put("a.npy", npy.encode(record(t)))
      put("ab.npz", npz.encode { record(t, "b"), record(t, "a") })
      for _, data in ipairs { { "-d", "a=a.npy", "-d", "b=a.npy" }, { "-d", "ab.npz" } } do
        assert.equal(0, espquant("calibrate", "two.onnx", data, "-o", "two.json").status)
        assert.same({ -6 }, cjson.decode(read "two.json").tensors.Add_out.exponents)
      end
      local r = espquant("run", "two.onnx", "-d", "ab.npz", "-t", "two.json", "--as-float", "-o", "sum.npy")
      assert.same({ 0, "Add_out: float32 3x4\n" }, { r.status, r.stdout })
      assert.equal(1.5, core.tensor_frombytes(npy.decode(read "sum.npy")):min())
      local function exponents(...)
        assert.equal(0, espquant("calibrate", "two.onnx", "-d", "ab.npz", "-o", "two.json", ...).status)
        local tensors = cjson.decode(read "two.json").tensors
        return { tensors.a.exponents[1], tensors.b.exponents[1] }
      end
      assert.same({ -7, -7 }, exponents())
      assert.same({ -5, -5 }, exponents "--input-exponent=-5")
      assert.same({ -7, -3 }, exponents("--input-exponent", "b=-3", "--input-exponent", "a=measured"))
      fails(2, { "one for all inputs, or NAME=E" }, "calibrate", "two.onnx", "-d", "ab.npz", "-o", "no.json",
        "--input-exponent=-5", "--input-exponent", "a=-5")
      fails(2, { "'65' is no exponent" }, "calibrate", "two.onnx", "-d", "ab.npz", "--input-exponent", "a=65")
      fails(3, { "the model has no input 'c'" }, "calibrate", "two.onnx", "-d", "ab.npz", "-o", "no.json",
        "--input-exponent", "c=-5")
      fails(3, { "nothing for input 'b'" }, "calibrate", "two.onnx", "-d", "a=a.npy", "-o", "no.json")
      fails(3, { "the model has 2 inputs (a, b)" }, "calibrate", "two.onnx", "-d", "a.npy", "-o", "no.json")
    end)
  end)

  describe("evaluate", function()
    it("compares the integers with labels and with float", function()
      local r = espquant("evaluate", "m.onnx", "-t", "m.json", TEST, LABELS)
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("\nfloat +99%.%d+ %% +[%d,]+\nint8 per%-channel +99%.%d+ %% +99%.%d+ %% +[%d,]+\n$", r.stdout)
    end)

    it("gives facts as JSON, without labels those that need none", function()
      local f = cjson.decode(espquant("evaluate", "m.onnx", "-t", "m.json", TEST, LABELS, "--json").stdout)
      assert.same({ 1000, 8, "per-channel", "chip" }, { f.images, f.bits, f.granularity, f.mode })
      assert.is_true(f.float_accuracy >= 0.97 and f.accuracy > f.float_accuracy - 0.01 and f.agreement > 0.98)
      assert.is_true(f.images_per_second > 0 and f.float_images_per_second > 0)
      f = cjson.decode(espquant("evaluate", "m.onnx", "-t", "m.json", TEST, "--json", "--mode", "original").stdout)
      assert.is_nil(f.accuracy)
      assert.equal("original", f.mode)
    end)

    it("tells of every layer, as a table and as JSON", function()
      local r = espquant("evaluate", "m.onnx", "-t", "m.json", TEST, "--layers")
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("\n\nlayer +op +output +exponent +SNR dB +saturated +max error\nconv1 +Conv +", r.stdout)
      local layers = cjson.decode(espquant("evaluate", "m.onnx", "-t", "m.json", TEST, "--layers",
        "--json").stdout).layers
      local last = layers[#layers]
      assert.same({ "fc", "Gemm", "output" }, { last.layer, last.op, last.output })
      assert.is_true(last.snr_db > 10 and last.max_error > 0 and last.saturated < 0.1)
    end)

    it("answers 1 when a threshold is missed", function()
      local function with(...) return espquant("evaluate", "m.onnx", "-t", "m.json", TEST, LABELS, ...).status end
      assert.equal(0, with("--min-accuracy", "97", "--min-agreement", "97%"))
      local r = espquant("evaluate", "m.onnx", "-t", "m.json", TEST, LABELS, "--min-accuracy", "100",
        "--min-agreement", "99.99")
      assert.equal(1, r.status)
      assert.matches("^espquant: accuracy: 99%.%d+ %% reached %(99%d of 1000 images%), at least 100 %% asked for "
        .. "%(%-%-min%-accuracy%)\nespquant: agreement: 99%.%d+ %% reached .* at least 99.99 %% asked for", r.stderr)
      fails(2, { "--min-accuracy needs --labels, or data that has labels" }, "evaluate", "m.onnx", "-t", "m.json",
        TEST, "--min-accuracy", "9")
      fails(2, { "'101' is no percentage" }, "evaluate", "m.onnx", "-t", "m.json", TEST, "--min-agreement", "101")
    end)

    it("refuses labels of another number and tables that do not belong to the model", function()
      fails(3, { "500 labels for 1000 images" }, "evaluate", "m.onnx", "-t", "m.json", TEST, "-l",
        DIGITS .. "calib-labels-idx1-ubyte.gz")
      fails(3, { "the table is for int8, the evaluator for int16" }, "evaluate", "m.onnx", "-t", "m.json", TEST,
        "--bits", "int16", "--granularity", "per-tensor")
      put("other.json", '{"format": "espquant-table", "version": 1, "tensors": '
        .. '{"other": {"kind": "activation", "bits": 8, "exponents": [-7]}}}')
      fails(3, { "table is not complete", "parameter for conv1_weight is not provided" }, "evaluate", "m.onnx", "-t",
        "other.json", TEST)
      fails(3, { "m.onnx: pickle" }, "evaluate", "m.onnx", "-t", "m.onnx", TEST)
      fails(3, { "none.json" }, "evaluate", "m.onnx", "-t", "none.json", TEST)
    end)
  end)

  describe("export", function()
    it("writes coefficients with the width of the table", function()
      local r = espquant("export", "m.onnx", "-t", "m.json", "--name", "digits", "--info")
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("^Converting coefficient to int8 per%-channel quantization for esp32s3\n", r.stdout)
      assert.matches("\nConv layer name: conv1, output_exponent: %-5\n", r.stdout)
      assert.matches("^#include \"digits.hpp\"\n.*conv1_filter_exponent", read "digits.cpp")
      assert.matches("get_conv1_filter", read "digits.hpp")
    end)

    it("leaves nothing where it cannot write", function()
      assert.equal("", fails(3, { "'missing': No such file" }, "export", "m.onnx", "-t", "m.json", "-o",
        "missing").stdout)
      assert.equal("", fails(3, { "m.onnx" }, "export", "m.onnx", "-t", "m.json", "-o", "m.onnx").stdout)
      fails(2, { "--target", "'esp8266' is not one of esp32, esp32s2, esp32c3, esp32s3" }, "export", "m.onnx", "-t",
        "m.json", "--target", "esp8266")
    end)
  end)

  describe("info", function()
    it("describes models", function()
      local r = espquant("info", MNIST)
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("^model 'mnist': opset 13, IR version 7, by espquant", r.stdout)
      assert.matches("\n  input  input: float32 Nx1x28x28\n  output output: float32 Nx10\n", r.stdout)
      assert.matches("\n  21 nodes, 22,634 parameters, 1,147,520 multiply%-accumulates an image\n", r.stdout)
      assert.matches("conv1_out: float32 Nx16x28x28 = Conv%(input", espquant("info", MNIST, "--nodes").stdout)
      local f = cjson.decode(espquant("info", MNIST, "--json").stdout)
      assert.same({ "model", 21, 22634, { "N", 1, 28, 28 }, 5 },
        { f.kind, f.nodes, f.parameters, f.inputs[1].shape, f.operators.Conv })
    end)

    it("describes tables and arrays", function()
      assert.matches("^quantization table: v1 int8 per%-channel entropy chip, 29 entries\n",
        espquant("info", "m.json").stdout)
      assert.equal(read "m.json", espquant("info", "m.json", "--json").stdout)
      assert.equal("uint8 1000, 0 to 9\n", espquant("info", LABELS[2]).stdout)
      put("ab.npz", npz.encode { record(core.tensor({ 2, 3 }, "float16"), "b"), record(core.tensor { 0 }, "a") })
      assert.equal("b: float16 2x3, 0 to 0\na: float32 0\n", espquant("info", "ab.npz").stdout)
      local facts = cjson.decode(espquant("info", "ab.npz", "--json").stdout)
      assert.same({ { name = "b", dtype = "float16", shape = { 2, 3 }, min = 0, max = 0 },
        { name = "a", dtype = "float32", shape = { 0 } } }, facts.arrays)
    end)
  end)

  describe("run", function()
    it("prints or writes float outputs", function()
      assert.matches("^output: float32 1000x10\n%[%[", espquant("run", "m.onnx", TEST).stdout)
      assert.equal("output: float32 1000x10\n", espquant("run", "m.onnx", TEST, "-o", "out.npy").stdout)
      local written = core.tensor_frombytes(npy.decode(read "out.npy"))
      local labels = assert(require "espquant.dataset".open(LABELS[2])):raw():astype "int64"
      assert.is_true((select(3, written:argmax():equal(labels))) <= 30)
    end)

    it("writes the integers of a table, of any tensor", function()
      local r = espquant("run", "m.onnx", TEST, "-t", "m.json", "--tensor", "output", "--tensor", "conv4_out", "-o",
        "i.npz", "--json")
      assert.same({ images = 1000, output = "i.npz", tensors = {
        { name = "output", dtype = "int8", shape = { 1000, 10 } },
        { name = "conv4_out", dtype = "int8", shape = { 1000, 32, 7, 7 } },
      } }, cjson.decode(r.stdout))
      assert.matches("^output: int8 1000x10, ", espquant("info", "i.npz").stdout)
    end)

    it("refuses options that make no sense", function()
      fails(2, { "--as-float needs --table" }, "run", "m.onnx", TEST, "--as-float")
      fails(2, { ".npz or .npy" }, "run", "m.onnx", TEST, "-o", "out.txt")
      fails(2, { "2 tensors need an .npz" }, "run", "m.onnx", TEST, "-o", "t.npy", "--tensor", "a", "--tensor", "b")
      fails(3, { "the model has no tensor 'zz'" }, "run", "m.onnx", TEST, "--tensor", "zz")
    end)
  end)

  describe("ops", function()
    it("prints the rows of the operators", function()
      assert.matches("\nConv +1%+ +yes +yes +yes +yes\n", espquant("ops").stdout)
      assert.matches("^| operator |.-|\n|%-%-%-|.*\n| Softmax | 1%+ | yes | %- | %- | [^\n]+ |\n",
        espquant("ops", "--markdown").stdout)
      local list = cjson.decode(espquant("ops", "--json").stdout)
      assert.equal(#core.ops(), #list)
      assert.same({ "Abs", true, false }, { list[1].name, list[1].float, list[1].integer })
    end)
  end)

  it("say that their output could not be written", function()
    for _, command in ipairs { "ops", "help", "-v", "table --help" } do
      local words = { "sh", "-c", "\"$0\" " .. command .. " >/dev/full", process.espquant }
      local r = process.run(words, { cwd = folder })
      assert.same({ 3, "espquant: cannot write to standard output: No space left on device\n" }, { r.status, r.stderr })
    end
  end)

  describe("given bad input", function()
    it("say what is wrong with options, with exit code 2", function()
      fails(2, { "--target: 'esp32h2' is not one of", "esp32c3" }, "check", "m.onnx", "--target", "esp32h2")
      fails(2, { "--bits", "int8" }, "calibrate", "m.onnx", CALIB, "--bits", "int4")
      local int16 = { "--bits", "int16" }
      fails(2, { "int16 only supports per-tensor" }, "check", "m.onnx", int16, "--granularity", "per-channel")
      fails(2, { "int16 only supports minmax" }, "calibrate", "m.onnx", CALIB, int16, "--method", "entropy")
      fails(2, { "'1/x' is no factor" }, "calibrate", "m.onnx", "-d", "x.npy", "--scale", "1/x")
      fails(2, { "'two' is no number of threads" }, "calibrate", "m.onnx", CALIB, "-j", "two")
      fails(2, { "-d" }, "calibrate", "m.onnx")
      fails(2, { "is an input" }, "calibrate", "m.onnx", "-d", "m.onnx", "-o", "m.onnx")
    end)

    it("name a file that is missing, no model, truncated or a folder, with exit code 3", function()
      put("text.onnx", "hello, this is text")
      put("empty.onnx", "")
      local whole = read "m.onnx"
      put("cut.onnx", whole:sub(1, #whole // 2))
      for _, command in ipairs { { "check" }, { "info" }, { "optimize", "-o", "x.onnx" },
        { "calibrate", CALIB, "-o", "x.json" }, { "evaluate", TEST, "-t", "m.json" }, { "export", "-t", "m.json" },
        { "run", TEST } } do
        local words = { table.unpack(command) }
        local name = table.remove(words, 1)
        local rest = {}
        for _, word in ipairs(words) do
          for _, each in ipairs(type(word) == "table" and word or { word }) do rest[#rest + 1] = each end
        end
        for _, file in ipairs { "nowhere.onnx", "text.onnx", "empty.onnx", "cut.onnx" } do
          fails(3, { file }, name, file, rest)
        end
      end
      fails(3, { "no .png, .jpg or .jpeg in this folder" }, "info", folder)
    end)

    it("refuse cycles, missing initializers and a wrong opset", function()
      put_model("gemm.onnx", function(g, x) return node(g, "Gemm", { x, weight(g, 0.5, "www") }) end)
      local bytes = read "gemm.onnx"
      -- The initializer's name no longer is the one that the node reads.
      local at = assert(bytes:find("www", bytes:find("www", 1, true) + 1, true))
      put("missing.onnx", bytes:sub(1, at - 1) .. "wwv" .. bytes:sub(at + 3))
      fails(3, { "missing.onnx", "www" }, "check", "missing.onnx")
      local g = core.graph { name = "m", opset = 13 }
      local x = g:add_input("xxxxxxx", "float32", { "N", 4 })
      g:add_output(node(g, "Relu", { node(g, "Add", { node(g, "Sigmoid", { x }), x }) }))
      assert(core.onnx_write(g, path "chain.onnx"))
      -- The first node now reads what the second one makes.
      put("cycle.onnx", (read "chain.onnx":gsub("xxxxxxx", "Add_out", 1)))
      fails(3, { "cycle.onnx: the graph has a cycle", "Sigmoid 'sigmoid'" }, "check", "cycle.onnx")
      for opset, status in pairs { [13] = 0, [5] = 1 } do
        local old = core.graph { name = "m", opset = opset }
        old:add_output(node(old, "Relu", { old:add_input("x", "float32", { "N", 4 }) }))
        assert(core.onnx_write(old, path "old.onnx"))
        local r = espquant("check", "old.onnx")
        assert.equal(status, r.status)
        if status ~= 0 then
          assert.matches("its form of opset 5 is not understood, only from 6 on", r.stdout .. r.stderr, 1, true)
        end
      end
    end)

    it("refuse operators that nobody knows, with exit code 4", function()
      put_model("odd.onnx", function(g, x) return node(g, "Frobnicate", { x }) end)
      put_npy("x4.npy", { 2, 4 })
      fails(4, { "Frobnicate 'frobnicate'", "does not know this operator" }, "calibrate", "odd.onnx", "-d", "x4.npy",
        "-o", "no.json")
      assert.equal(1, espquant("check", "odd.onnx").status)
      assert.equal(0, espquant("info", "odd.onnx").status)
      fails(4, { "Frobnicate" }, "run", "odd.onnx", "-d", "x4.npy")
    end)

    it("refuse NaN and infinite weights, and quantize weights that are zero with a warning", function()
      for _, value in ipairs { 0 / 0, math.huge } do
        put_model("bad.onnx", function(g, x) return node(g, "Gemm", { x, weight(g, value) }) end)
        fails(4, { "Gemm 'gemm'", "'w'" }, "calibrate", "bad.onnx", "-d", put_npy("x4.npy", { 2, 4 }), "-o", "no.json")
      end
      put_model("zero.onnx", function(g, x) return node(g, "Gemm", { x, weight(g, 0) }) end)
      local r = espquant("calibrate", "zero.onnx", "-d", "x4.npy", "-o", "zero.json")
      assert.equal(0, r.status)
      assert.matches("espquant: warning: 'w' is all zero", r.stderr)
    end)

    it("name the dataset that is missing, empty, cut, of the wrong shape, or unknown, with exit code 3", function()
      local function calibrate(data, part)
        fails(3, { data, part }, "calibrate", "m.onnx", "-d", data, "-o", "no.json")
      end
      calibrate("nowhere.npy", "No such file")
      put_npy("empty.npy", { 0, 1, 28, 28 })
      calibrate("empty.npy", "it holds no image")
      put_npy("wrong.npy", { 2, 3, 28, 28 }, "uint8")
      calibrate("wrong.npy", "input 'input' expects float32 Nx1x28x28, got uint8 2x3x28x28")
      put("cut.npy", npy.encode(record(core.tensor { 2, 28, 28 })):sub(1, -2))
      calibrate("cut.npy", "needs 6272 bytes, got 6271")
      put("notes.txt", "no array")
      calibrate("notes.txt", "no dataset that espquant reads")
      fails(3, { "wrong.npy" }, "run", "m.onnx", "-d", "wrong.npy", "-o", "no.npz")
      fails(3, { "empty.npy" }, "evaluate", "m.onnx", "-t", "m.json", "-d", "empty.npy")
    end)

    it("write nothing where they cannot, with exit code 3", function()
      fails(3, { "nowhere/x.json" }, "calibrate", "m.onnx", CALIB, "-o", "nowhere/x.json")
      fails(3, { "nowhere/x.onnx" }, "optimize", "m.onnx", "-o", "nowhere/x.onnx")
      fails(3, { "nowhere/x.npz" }, "run", "m.onnx", TEST, "-o", "nowhere/x.npz")
      fails(3, { "/proc/x.json" }, "calibrate", "m.onnx", CALIB, "-o", "/proc/x.json")
    end)
  end)
end)
