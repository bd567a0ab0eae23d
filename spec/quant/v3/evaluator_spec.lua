-- The Evaluator for ESP-DL v3: integers and floats of outputs, layers, mixed widths, wrong tables, the command.
local core = require "espquant.core"
local espquant = require "espquant"
local net = require "spec.support.net"
local apply = require "espquant.quant.v3.apply"
local process = require "spec.support.process"

local errors = espquant.errors

local MODEL = [[
  input x 1,4,8,8
  const w 4,4,3,3
  const b 4
  Conv x w b -> c pads=1,1,1,1
  Relu c -> r
  Sigmoid r -> s
  Add r s -> a
  const v 256,5
  Flatten a -> f
  Gemm f v -> y
  output y
]]
local DATA = net.tensor({ 9, 4, 8, 8 }, 3, 2)

local function calibrated(options, text)
  local model = net.model(text or MODEL)
  local o = { bits = "int8", runtime = "v3", observer = "minmax", log = function() end }
  for key, value in pairs(options or {}) do o[key] = value end
  return model, assert(espquant.Calibrator(o):measure_table(model, DATA))
end

local function evaluator(options)
  local o = { bits = "int8", runtime = "v3" }
  for key, value in pairs(options or {}) do o[key] = value end
  return espquant.Evaluator(o)
end

local function ops(graph)
  local list = {}
  for node in graph:nodes() do list[#list + 1] = node.op_type end
  return table.concat(list, " ")
end

-- Every node reads integers of its own width, and at one exponent where its kernel moves or adds them.
local function check_edges(graph, t)
  local seams = { QuantizeLinear = true, RequantizeLinear = true, DequantizeLinear = true }
  local one_scale = { Add = true, Flatten = true, MaxPool = true }
  for node in graph:nodes() do
    local width = t.facts.layers and t.facts.layers[node.name] or "int8"
    for _, value in ipairs(seams[node.op_type] and {} or node.inputs) do
      if not value.constant then assert.equal(width == "float" and "float32" or width, value.dtype, node.name) end
      if one_scale[node.op_type] and value.quant then
        assert.same(node:output(1).quant, value.quant, node.name)
      end
    end
  end
end

-- The problems that a table has, as one text.
local function refusal(options, change, settings)
  local model, t = calibrated(options)
  change(t, model)
  local q, message, code, problems = apply(model, t, settings or { chip = "esp32s3", bits = 8 })
  assert.is_nil(q)
  assert.equal("the quantization table is not complete or of another model", message)
  assert.equal("format", code)
  local list = {}
  for i, p in ipairs(problems) do list[i] = type(p) == "table" and p.message or p end
  return table.concat(list, "\n"), #list
end

describe("an Evaluator of ESP-DL v3", function()
  it("gives integers, or floats that are near the model's", function()
    local model, t = calibrated { target = "esp32p4" }
    local eva = evaluator { chip = "esp32p4" }
    assert.equal(0, (eva:check_model(model)))
    eva:generate_quantized_model(model, t)
    local ints, names = eva:evaluate_quantized_model(DATA)
    assert.same({ "int8", { 9, 5 }, { "y" } }, { ints[1].dtype, ints[1].shape, names })
    local floats = eva:evaluate_quantized_model(DATA, true)
    assert.is_true((floats[1]:equal(ints[1]:dequantize(t:exponent "y"))))
    local exec <close> = core.executor(model)
    assert.is_true((exec:run(DATA)[1] - floats[1]):maxabs() < 0.1 * floats[1]:maxabs())
    assert.equal("Evaluator: int8, v3 on esp32p4, with a model of 5 nodes", tostring(eva))
  end)

  it("computes the same image by image, with any number of threads", function()
    local model, t = calibrated()
    local eva, one = evaluator { threads = 2 }, evaluator { threads = 1 }
    eva:generate_quantized_model(model, t)
    one:generate_quantized_model(model, t)
    local all = eva:evaluate_quantized_model(DATA)[1]
    for i = 1, #DATA do
      assert.is_true((one:evaluate_quantized_model(DATA:slice(i, i))[1]:equal(all:slice(i, i))))
    end
  end)

  it("reports its layers", function()
    local model, t = calibrated { bits = "int16" }
    local eva = evaluator { bits = "int16" }
    eva:generate_quantized_model(model, t)
    local report = eva:layer_report(DATA)
    local layers = {}
    for i, row in ipairs(report) do
      layers[i] = row.output
      assert.is_true(row.snr > 60, row.output .. " " .. row.snr)
      assert.equal(t:exponent(row.output), row.exponent)
    end
    assert.same({ "r", "s", "a", "f", "y" }, layers)
  end)

  it("tells a float output from integers", function()
    local model, t = calibrated({}, MODEL:gsub("output y", "Softmax y -> p\noutput p"))
    local eva = evaluator()
    eva:generate_quantized_model(model, t)
    local p = eva:evaluate_quantized_model(DATA)[1]
    assert.equal("float32", p.dtype)
    assert.is_true((eva:evaluate_quantized_model(DATA, true)[1]:equal(p)))
    local report = eva:layer_report(DATA)
    assert.same({ "p", nil, 0 }, { report[#report].output, report[#report].exponent, report[#report].saturated })
  end)

  it("puts seams between widths, and in front of float layers", function()
    local plain = "Conv LUT Add Flatten Gemm"
    for _, case in ipairs {
      { {}, plain }, { { ["*"] = "int16" }, plain }, { { Conv_c = "int16", f = "int16" }, plain },
      { { Sigmoid_s = "int16" }, plain },
      { { Sigmoid_s = "float" }, "Conv DequantizeLinear Sigmoid QuantizeLinear Add Flatten Gemm" },
      { { Add_a = "float" }, "Conv LUT DequantizeLinear DequantizeLinear Add QuantizeLinear Flatten Gemm" },
    } do
      local model, t = calibrated { layers = case[1] }
      local eva = evaluator()
      eva:generate_quantized_model(model, t)
      assert.equal(case[2], (ops(eva.graph):gsub("RequantizeLinear ", "")))
      check_edges(eva.graph, t)
      local out = eva:evaluate_quantized_model(DATA, true)[1]
      local exec <close> = core.executor(model)
      assert.is_true((exec:run(DATA)[1] - out):maxabs() < 0.1 * out:maxabs())
    end
  end)

  it("converts the model's input for a reader at another exponent", function()
    local model, t = calibrated({}, [[
      input x 1,4,8,8
      const w 4,4,1,1
      Conv x w -> c
      Add c x -> a
      MaxPool x -> p kernel_shape=2,2 strides=2,2
      output a
      output p
    ]])
    t:set("a", "activation", { t:exponent "x" + 2 }).bits = 8
    t:set("c", "activation", { t:exponent "x" + 2 }).bits = 8
    t:set("p", "activation", { t:exponent "x" + 1 }).bits = 8
    local eva = evaluator()
    eva:generate_quantized_model(model, t)
    assert.equal("Conv RequantizeLinear Add RequantizeLinear MaxPool", ops(eva.graph))
    check_edges(eva.graph, t)
    local got, names = eva:evaluate_quantized_model(DATA, true)
    local exec <close> = core.executor(model)
    for i, want in ipairs(exec:run(DATA)) do
      assert.is_true((want - got[i]):maxabs() <= 1.5 * 2.0 ^ t:exponent(names[i]), names[i])
    end
  end)

  it("keeps a Conv apart from its Relu where the model returns both", function()
    local model, t = calibrated({}, MODEL:gsub("output y", "output y\noutput c"))
    local eva = evaluator()
    eva:generate_quantized_model(model, t)
    assert.equal("Conv LUT LUT Add Flatten Gemm", (ops(eva.graph):gsub("RequantizeLinear ", "")))
    assert.equal("Linear", eva.graph:value "c".producer:attr "activation")
    local got = eva:evaluate_quantized_model(DATA)
    assert.is_true(got[2]:min() < 0)
  end)

  it("refuses tables of other runtimes, widths and chips", function()
    local model, t = calibrated({ target = "esp32p4" }, MODEL:gsub("Sigmoid", "Relu"))
    for message, eva in pairs {
      ["the table is for runtime v3, the evaluator for v1"] = espquant.Evaluator { bits = "int8" },
      ["the table is for int8, the evaluator for int16"] = evaluator { bits = "int16", chip = "esp32p4" },
      ["the table is for esp32p4, which computes otherwise than the evaluator's c; calibrate for that chip"] =
        evaluator { chip = "c" },
    } do
      local ok, err = pcall(eva.generate_quantized_model, eva, model, t)
      assert.is_false(ok)
      assert.equal(message, err.message)
      assert.is_true(errors.is(err))
    end
    local v1 = espquant.Calibrator { bits = "int8", log = function() end }
    local eva, of_v1 = evaluator(), assert(v1:measure_table(model, DATA))
    local ok, err = pcall(eva.generate_quantized_model, eva, model, of_v1)
    assert.same({ false, "the table is for runtime v1, the evaluator for v3" }, { ok, err.message })
  end)

  it("tells all that a table has wrong", function()
    local text, n = refusal({}, function(t)
      t:set("c", "activation", { -3, -4 })
      t:set("r", "activation", { 40 })
      t.index.w = nil
      t:set("y", "activation", { -30 })
      t:set("stranger", "activation", { 0 })
    end)
    for _, wanted in ipairs {
      "Conv 'Conv_c' (1x4x8x8, 4x4x3x3, 4 -> 1x4x8x8): the table has 2 exponents for tensor 'c', expected one",
      "the quantization parameter for w is not provided; calibrate this model",
      "tensor 'r' has the exponent 40; calibrate again",
      "its output has the exponent -30, below",
      "the table has 'stranger', which is no tensor of the model",
    } do
      assert.is_truthy(text:find(wanted, 1, true), wanted .. " in\n" .. text)
    end
    assert.equal(5, n, text)
  end)

  it("refuses what does not fit the chip or the widths", function()
    assert.matches("4 exponents for weight 'w', expected 1 for esp32s3", refusal({ target = "esp32p4" }, function(t)
      t.facts.target = nil
    end))
    assert.matches("the bias 'b' has the exponent 3, its input and weight %-%d+", refusal({}, function(t)
      t:set("b", "bias", { 3 })
    end))
    assert.matches("'Nobody', which is no node", refusal({}, function(t) t.facts.layers = { Nobody = "int16" } end))
    assert.matches("the input 'x' is of 32 bits in the table", refusal({}, function(t) t:get "x".bits = 32 end))
    assert.matches("does not tell how 'r' is read as int16", refusal({}, function(t)
      t.facts.layers = { Sigmoid_s = "int16" }
    end))
  end)

  it("is a command, which follows the table", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local model, t = calibrated { target = "esp32p4" }
    assert(espquant.onnx.save(model, folder .. "/m.onnx"))
    assert(t:save(folder .. "/t.json"))
    assert(espquant.npy.save(folder .. "/x.npy", DATA))
    local function evaluate(...)
      return process.run { process.espquant, "evaluate", folder .. "/m.onnx", "-t", folder .. "/t.json", "-d",
        folder .. "/x.npy", ... }
    end
    assert.matches("int8 v3 esp32p4 +%- +100.00 %%", evaluate().stdout)
    assert.equal(0, evaluate("--runtime", "v3", "--chip", "esp32s31").status)
    assert.matches("computes otherwise", evaluate("--chip", "esp32s3").stderr)
    assert.equal(2, evaluate("--granularity", "per-channel").status)
    os.execute("rm -r " .. folder)
  end)
end)
