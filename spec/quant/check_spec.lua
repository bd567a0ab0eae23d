-- Refusals: the original's words for the recorded negative cases; for the chip node, operator, shapes, cause, remedy.

local cjson = require "cjson"
local core = require "espquant.core"
local espquant = require "espquant"
local npy = require "espquant.npy"
local quant = require "espquant.quant"
local net = require "spec.support.net"

local DIR = "spec/fixtures/negative/"
local CASES = { "add_const", "clip", "matmul", "pad", "relu_on_input", "sigmoid", "unsqueeze", "wrong_shape" }

local function quiet() end

local function open(name)
  local expected = cjson.decode((assert(core.read_file(DIR .. name .. "/expected.json"))))
  local model, data = espquant.onnx.load(DIR .. name .. "/model.onnx"), npy.load(DIR .. name .. "/calib.npy")
  return assert(model), assert(data), expected
end

local function objects(mode)
  local calib = espquant.Calibrator { bits = "int8", mode = mode, log = quiet }
  return calib, espquant.Evaluator { bits = "int8", mode = mode }
end

-- What each recorded call does here: ok, error.
local function calls(name, mode)
  local model, data, expected = open(name)
  local calib, eva = objects(mode)
  local pickle = DIR .. name .. "/table.pickle"
  return {
    ["calibrator.check_model"] = table.pack(pcall(calib.check_model, calib, model)),
    ["evaluator.check_model"] = table.pack(pcall(eva.check_model, eva, model)),
    generate_quantization_table = table.pack(pcall(calib.generate_quantization_table, calib, model, data)),
    generate_quantized_model = expected.generate_quantized_model
      and table.pack(pcall(eva.generate_quantized_model, eva, model, pickle)),
  }, expected
end

describe("mode original", function()
  for _, name in ipairs(CASES) do
    it("refuses where and what the original refuses: " .. name, function()
      local got, expected = calls(name, "original")
      local n = 0
      for call, want in pairs(expected) do
        if type(want) == "table" then
          assert.equal(want.ok, got[call][1], call .. ": " .. tostring(got[call][2]))
          local err = got[call][2]
          for line in ((want.message or "") .. "\n" .. want.stdout):gmatch "[^\n]+" do
            assert.matches(line, tostring(err), 1, true)
          end
          if not want.ok then assert.is_true(espquant.errors.is(err)) end
          n = n + 1
        end
      end
      assert.is_true(n >= 3)
    end)
  end

  it("names the node besides", function()
    for name, text in pairs { clip = "Clip_0", sigmoid = "Sigmoid_0", relu_on_input = "Relu_0", matmul = "MatMul_0" } do
      local _, _, _, problems = quant.check((open(name)), "original", "table")
      local found
      for _, p in ipairs(problems) do found = found or p.message:find(text, 1, true) end
      assert.is_truthy(found, name)
    end
  end)

  local STOPS = {
    { "a Concat with a constant", "list index out of range", [[
      input x 1,2
      const k 1,2
      const w 2,2
      Gemm x w -> y
      Concat y k -> z axis=1
      output z
    ]], "Concat 'Concat_z'.*its input 'k' is a constant" },
    { "two inputs", "Model requires 2 inputs. Input Feed contains 1", [[
      input x N,2
      input y N,2
      Add x y -> z
      output z
    ]] },
    { "an alpha of 0", "float division by zero", [[
      input x N,2
      const w 2,2
      Gemm x w -> y
      LeakyRelu y -> z alpha=0.0
      output z
    ]], "LeakyRelu 'LeakyRelu_z'.*its alpha is 0" },
    { "a computed weight", "1 node of the model cannot be quantized", [[
      input x N,2
      const w 2,2
      Gemm w w -> v
      Gemm x v -> z
      output z
    ]], "Gemm 'Gemm_z'.*its parameter 'v' is computed at run time" },
  }

  for _, case in ipairs(STOPS) do
    it("refuses " .. case[1] .. " by name, where the original raises", function()
      local ok, message, code, problems = quant.check(net.model(case[3]), "original", "table")
      assert.same({ nil, "unsupported" }, { ok, code })
      assert.matches(case[2], message, 1, true)
      if case[4] then assert.matches(case[4], problems[1].message) end
    end)
  end

  it("has one line for each type, and a problem for each node", function()
    local g = net.model [[
      input x N,2
      Sigmoid x -> a
      Tanh a -> b
      Sigmoid b -> c
      output c
    ]]
    local _, message, _, problems = quant.check(g, "original", "evaluator")
    assert.equal("Sigmoid is not supported on esp-dl yet\nTanh is not supported on esp-dl yet\n"
      .. "current model is not supported by esp-dl", message)
    assert.equal(3, #problems)
  end)
end)

describe("mode chip", function()
  -- Of the models that the original refuses, the chip can do all but these.
  local REFUSED = { clip = true, sigmoid = true, wrong_shape = true }

  for _, name in ipairs(CASES) do
    it((REFUSED[name] and "refuses " or "runs ") .. name, function()
      local model, data = open(name)
      local calib, eva = objects "chip"
      local t, message, code = calib:measure_table(model, data)
      if REFUSED[name] then
        assert.is_nil(t)
        assert.equal(name == "wrong_shape" and "format" or "unsupported", code)
        if name ~= "wrong_shape" then
          local status, problems = calib:check_model(model)
          assert.equal(-1, status)
          assert.is_true(#problems > 0)
        end
        return
      end
      assert(t, message)
      assert.equal(0, calib:check_model(model))
      assert.equal(0, eva:check_model(model))
      eva:generate_quantized_model(model, t)
      local clipped = data:minimum(127 / 128):maximum(-1.0)
      local db = net.snr(assert(model:run(clipped))[1], eva:evaluate_quantized_model(clipped, true)[1])
      assert.is_true(db > 15, ("%s: %.1f dB"):format(name, db))
    end)
  end

  it("names expected and got of images of a wrong shape", function()
    local model, data = open "wrong_shape"
    local _, message, code = objects "chip":measure_table(model, data)
    assert.equal("format", code)
    assert.matches("input 'input' expects float32 Nx3x8x8, got float32 %d+x2x8x8", message)
  end)

  it("gives node, operator, shapes, cause and remedy of every node at once", function()
    local bad = core.tensor_from({ 1, 0 / 0, 2, 3 }, "float32", { 2, 2 })
    local endless = core.tensor_from({ 1 / 0, 1 }, "float32")
    local g = net.model([[
      input x N,2
      const w 2,2
      const a 2
      Gemm x w -> y
      Sigmoid y -> s
      Add s a -> t
      LeakyRelu t -> l alpha=-0.5
      Softmax l -> z
      output z
    ]], { w = bad, a = endless })
    local ok, message, code, problems = quant.check(g, "chip", "calibrator")
    assert.same({ nil, "5 nodes of the model cannot be quantized", "unsupported" }, { ok, message, code })
    local ops = {}
    for i, p in ipairs(problems) do
      ops[i] = p.op
      assert.equal(p.op .. "_" .. p.output, p.node)
      assert.is_string(p.cause)
      assert.is_string(p.remedy, p.message)
      for _, part in ipairs { p.op, p.node, p.shapes, p.cause, p.remedy } do
        assert.matches(part, p.message, 1, true)
      end
    end
    assert.same({ "Gemm", "Sigmoid", "Add", "LeakyRelu", "Softmax" }, ops)
    assert.matches("'w' holds %-?nan", problems[1].cause)
    assert.matches("'a' holds NaN or infinity", problems[3].cause)
    assert.equal("Nx2 -> Nx2", problems[2].shapes)
  end)

  it("refuses an input that is not float32", function()
    local g = net.model "input x N,2 uint8\n Flatten x -> y\n output y"
    local _, _, _, problems = quant.check(g, "chip", "calibrator")
    assert.matches("input 'x' has type uint8", problems[1].cause, 1, true)
  end)

  it("finds nothing wrong with a good model, in each role", function()
    local g = net.model "input x N,2\n const w 2,2\n Gemm x w -> y\n Relu y -> z\n output z"
    for _, mode in ipairs { "chip", "original" } do
      for _, role in ipairs { "calibrator", "evaluator", "table" } do assert.is_true(quant.check(g, mode, role)) end
    end
  end)
end)
