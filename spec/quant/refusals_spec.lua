-- What the original refuses, recorded: every case of negative/ and every error.json. "original" mode refuses it where
-- the original does, with its lines and its exception, and adds node, operator, shapes, cause and remedy. Prints how
-- many.
local core = require "espquant.core"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local net = require "spec.support.net"
local process = require "spec.support.process"
require "espquant.model" -- model:run

local NEGATIVE = fixtures.open "negative"
local CASES = {}
for i, member in ipairs(NEGATIVE.names "expected%.json$") do CASES[i] = member:match "^[^/]+" end

local counts = { calls = 0, refused = 0, errors = 0, lines = 0, problems = 0 }

local function quiet() end

-- Fails unless the error tells all that was recorded, and which node is to blame and what to do.
local function check_refusal(label, want, err)
  assert.is_true(espquant.errors.is(err), label .. ": " .. tostring(err))
  for line in (want.message .. "\n" .. (want.stdout or "")):gmatch "[^\n]+" do
    assert.matches(line, tostring(err), 1, true)
    counts.lines = counts.lines + 1
  end
  assert.equal(want.type, err.exception, label)
  assert.is_true(#err.problems > 0, label .. ": no problem")
  for _, p in ipairs(err.problems) do
    for _, part in ipairs { p.op, p.node, p.shapes, p.cause, p.remedy } do
      assert.matches(part, p.message, 1, true)
      assert.matches(part, tostring(err), 1, true)
    end
    assert.is_string(p.remedy, label .. ": " .. p.message)
    counts.problems = counts.problems + 1
  end
end

-- --- negative/ ------------------------------------------------------------------------------------------------------

local function open(name)
  local model = assert(core.onnx_decode(NEGATIVE.bytes(name .. "/model.onnx")))
  assert(model:infer_shapes())
  return model, NEGATIVE.tensor(name .. "/calib.npy"), NEGATIVE.json(name .. "/expected.json")
end

local function objects(mode)
  return espquant.Calibrator { bits = "int8", mode = mode, log = quiet },
    espquant.Evaluator { bits = "int8", mode = mode }
end

-- What each recorded call does here: name -> ok, error.
local function calls(name)
  local model, data, expected = open(name)
  local calib, eva = objects "original"
  local function call(f, ...) return table.pack(pcall(f, ...)) end
  local folder = process.folder()
  local pickle = folder .. "/table.pickle"
  if NEGATIVE.has(name .. "/table.pickle") then process.write_file(pickle, NEGATIVE.bytes(name .. "/table.pickle")) end
  local results = {
    ["calibrator.check_model"] = call(calib.check_model, calib, model),
    ["evaluator.check_model"] = call(eva.check_model, eva, model),
    generate_quantization_table = call(calib.generate_quantization_table, calib, model, data),
    generate_quantized_model = expected.generate_quantized_model
      and call(eva.generate_quantized_model, eva, model, pickle),
  }
  process.remove(folder)
  return results, expected
end

describe("mode original refuses where and what the original refuses:", function()
  for _, name in ipairs(CASES) do
    it(name, function()
      local got, expected = calls(name)
      for call, want in pairs(expected) do
        if type(want) == "table" then
          local label = name .. " " .. call
          assert.equal(want.ok, got[call][1], label .. ": " .. tostring(got[call][2]))
          if not want.ok then
            check_refusal(label, want, got[call][2])
            counts.refused = counts.refused + 1
          end
          counts.calls = counts.calls + 1
        end
      end
    end)
  end

  -- The calls of each stage that a recorded case can fail in.
  local function stages(case, config)
    local model = assert(core.onnx_decode(case.bytes "model.onnx"))
    local calib = espquant.Calibrator {
      bits = config[1], granularity = config[2], method = config[3], mode = "original", log = quiet,
    }
    local eva = espquant.Evaluator { bits = config[1], granularity = config[2], mode = "original" }
    local t
    return {
      { "generate_quantization_table", function()
        t = calib:generate_quantization_table(model, case.tensor "calib.npy")
      end },
      { "evaluator", function()
        eva:generate_quantized_model(model, t)
        eva:evaluate_quantized_model(case.tensor "input.npy")
      end },
    }
  end

  for _, name in ipairs(fixtures.CASES) do
    it(name .. ", in every configuration with an error.json", function()
      local case = fixtures.open(name)
      for _, config in ipairs(fixtures.CONFIGURATIONS) do
        if case.has(config.name .. "/error.json") then
          local want, label = case.json(config.name .. "/error.json"), name .. " " .. config.name
          for _, stage in ipairs(stages(case, config)) do
            local ok, err = pcall(stage[2])
            assert.equal(stage[1] ~= want.stage, ok, label .. ": " .. stage[1] .. ": " .. tostring(err))
            if not ok then
              check_refusal(label, want, err)
              counts.errors = counts.errors + 1
              break
            end
          end
        end
      end
    end)
  end

  it("all of them", function()
    print(("\n%d recorded calls of %d negative cases, %d refused; %d error.json; %d of their lines said, "
      .. "%d problems with "
      .. "node, operator, shapes, cause and remedy"):format(counts.calls, #CASES, counts.refused, counts.errors,
      counts.lines, counts.problems))
    assert.same({ 26, 17 }, { counts.calls, counts.refused })
    assert.equal(11, counts.errors)
  end)
end)

describe("mode chip", function()
  -- Of the models that the original refuses, the chip can do all but these.
  local REFUSED = { clip = "unsupported", sigmoid = "unsupported", wrong_shape = "format" }

  for _, name in ipairs(CASES) do
    it((REFUSED[name] and "refuses " or "runs ") .. name, function()
      local model, data = open(name)
      local calib, eva = objects "chip"
      local t, message, code = calib:measure_table(model, data)
      if REFUSED[name] then
        assert.same({ nil, REFUSED[name] }, { t, code })
        if code == "unsupported" then assert.equal(-1, (calib:check_model(model))) end
        return
      end
      assert(t, message)
      assert.equal(0, (calib:check_model(model)))
      assert.equal(0, (eva:check_model(model)))
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
end)
