-- Bad models: everything must work, or be refused by a message that names file, node or tensor, what was expected and
-- what came, with the right code; under the sanitizers, within seconds. Tables and data: hostile_data_spec.lua.
local core = require "espquant.core"
local errors = require "espquant.errors"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
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
    refusal.check("io", { missing }, espquant.onnx.load, missing)
    refusal.check("io", { folder }, espquant.onnx.load, folder)
    for name, bytes in pairs { empty = "", text = "hello, this is no model\n", zeros = ("\0"):rep(100) } do
      local path, f = load(name .. ".onnx", bytes)
      refusal.check("format", { path, "ONNX model" }, f)
    end
    refusal.check("io", { missing }, espquant.optimizer.optimize_fp_model, missing)
    refusal.check("format", { "model.txt", ".onnx" }, espquant.optimizer.optimize_fp_model, "model.txt")
  end)

  it("cut in the middle", function()
    local path, f = load("cut.onnx", core.read_file "examples/mnist.onnx":sub(1, 50000))
    refusal.check("format", { path, "ModelProto.graph", "93063", "49951" }, f)
  end)

  it("never leaves an output behind when it is refused", function()
    local path = save("broken.onnx", core.read_file "examples/mnist.onnx":sub(1, 50000))
    refusal.check("format", { path }, espquant.optimizer.optimize_fp_model, path)
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
    return espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", mode = mode,
      log = quiet }
      :generate_quantization_table(g, images or core.tensor { 2, 1, 4, 4 })
  end

  it("of an opset whose operators are not understood, or with none", function()
    refusal.check("unsupported", { "Relu 'second'", "opset 5", "only from 6 on" },
      function(g) return decode(g):infer_shapes() end, conv(function(g) g.opset = 5 end))
  end)

  it("with operators that nobody knows: all of them, with node and remedy", function()
    local g = conv(function(g, _, y) -- luacheck: ignore 431
      y:set_input(1, g:add_node { op_type = "Strange", name = "odd", domain = "com.example", inputs = { g:value "c" },
        outputs = 1, before = y }:output(1))
    end)
    refusal.check("unsupported", { "Strange 'odd'", "com.example" }, g.check, g)
    local message, code = refusal.of(calibrate, g)
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
    local message = refusal.of(calibrate, g)
    assert.matches("10000 nodes of the model cannot be quantized.*Sigmoid 's1'.*Sigmoid 's10000'", message)
    assert.is_true(os.clock() - started < 3, os.clock() - started)
  end)

  it("with a cycle", function()
    local g = conv(function(g, c) c:set_input(1, g:value "y") end)
    refusal.check("format", { "cycle", "Conv 'first'", "Relu 'second'" }, decode, g)
    refusal.check("format", { "Conv 'first'", "'y' is made by a node that comes later" }, g.infer_shapes, g)
    for _, mode in ipairs { "chip", "original" } do
      refusal.check("format", { "Conv 'first'", "'y'" }, calibrate, g, nil, mode)
    end
  end)

  it("with a tensor that nobody makes", function()
    local g = conv(function(g, c)
      c:set_input(2, g:add_input("w2", "float32", { 2, 1, 3, 3 }))
      g:remove_input(g:value "w2")
    end)
    refusal.check("format", { "Conv 'first'", "input 1 'w2' is made by nobody" }, decode, g)
    refusal.check("format", { "Conv 'first'", "'w2'" }, core.executor, g)
  end)

  it("with too few inputs, or attributes of another kind", function()
    local g = conv(function(_, c) c:set_inputs { c:input(1) } end)
    refusal.check("format", { "Conv 'first'", "1 inputs, expected 2 to 3" }, g.infer_shapes, g)
    refusal.check("format", { "Conv 'first'", "expected" }, calibrate, g)
    g = conv(function(_, c) c:set_attr("group", "two") end)
    refusal.check("format", { "Conv 'first'", "attribute 'group' is a string, expected an integer" }, g.check, g)
    refusal.check("format", { "Conv 'first'", "attribute 'group'" }, calibrate, g)
    g = conv(function(g, _, y) -- luacheck: ignore 431
      local leaky = g:add_node { op_type = "LeakyRelu", name = "leaky", inputs = { g:value "c" }, outputs = 1,
        before = y }
      leaky:set_attr("alpha", { 1, 2 })
      y:set_input(1, leaky:output(1))
    end)
    for _, mode in ipairs { "chip", "original" } do
      refusal.check("format", { "LeakyRelu 'leaky'", "attribute 'alpha' is a list of integers, expected a float" },
        calibrate,
        g, nil, mode)
    end
  end)

  it("whose shapes do not fit", function()
    local g = conv(function(g) g:value "w":set_constant(core.tensor { 2, 5, 3, 3 }) end)
    refusal.check("format", { "Conv 'first'", "5", "1" }, g.infer_shapes, g)
    g = conv(function(m) m.inputs[1]:set_shape { "N", 1, 2, 2 } end)
    refusal.check("format", { "Conv 'first'", "a window of 3 pixels does not fit into 2" }, core.executor, g)
    refusal.check("format", { "Conv 'first'", "a window of 3 pixels" }, espquant.optimizer.optimize, g)
  end)

  it("with a layer whose result nobody reads works in both modes", function()
    local g = conv(function(g, _, y) -- luacheck: ignore 431
      g:add_node { op_type = "Conv", name = "dead", inputs = { g:value "x", g:value "w" }, outputs = { "d" },
        before = y }
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
      local message, code = refusal.of(calibrate, g)
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
      if ok then refusal.check("unsupported", { "cannot be quantized" }, calibrate, optimized)
      else assert.is_true(errors.is(optimized), tostring(optimized)) end
    end
  end)
end)
