-- Layers at int16, at float and with observers of their own, at random: every recorded model is calibrated, simulated
-- and exported so; the file computes what the simulation computes, and no layer gets lost on the way.
local core = require "espquant.core"
local espdl = require "espquant.espdl"
local espdl_graph = require "espquant.espdl_graph"
local espdl_test = require "espquant.espdl_test"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local prepare = require "espquant.quant.v3.prepare"
local roles = require "espquant.quant.v3.roles"

local TARGETS = { "esp32s3", "esp32p4", "c" }
local OBSERVERS = { "kl", "minmax", "percentile", "mse" }
local LEAST_SNR = 10 -- dB, of int8 models whose data are few

local seed = 7
local function random(n)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % n + 1
end

-- Random layers of a prepared graph.
local function layers_of(graph)
  local layers = {}
  for node in graph:nodes() do
    local r = random(10)
    if r <= 3 then layers[node.name] = "int16"
    elseif r == 4 and not roles.rule(node).no_float then layers[node.name] = "float"
    elseif r == 5 then layers[node.name] = { observer = OBSERVERS[1 + random(3)] } end
  end
  return next(layers) and layers
end

local function snr(want, got)
  local difference = got:astype "float32" - want
  return 10 * math.log((want * want):sum() / math.max((difference * difference):sum(), 1e-30), 10)
end

-- The file's own test must be met in every element.
local function check_file(path)
  local entry = assert(espdl.load(path))[1]
  local rows = assert(espdl_test(assert(espdl_graph.read(entry)), entry))
  assert.is_true(#rows > 0)
  for _, row in ipairs(rows) do assert.equal(0, row.different, row.name) end
end

describe("layers of mixed widths", function()
  for _, name in ipairs(fixtures.CASES_V3) do
    it("are simulated and exported: " .. name, function()
      local case = fixtures.open(name, "v3")
      local model, data = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "calib.npy"
      local exec <close> = assert(core.executor(model, { threads = 1 }))
      local want, graph = assert(exec:run(data)), assert(prepare(model))
      for _, target in ipairs(TARGETS) do
        local calib = espquant.Calibrator {
          bits = "int8", runtime = "v3", target = target, layers = layers_of(graph), observer = OBSERVERS[random(4)],
        }
        local t = assert(calib:measure_table(model, data))
        local eva = espquant.Evaluator { bits = "int8", runtime = "v3", chip = target }
        eva:generate_quantized_model(model, t)
        for i, output in ipairs(eva:evaluate_quantized_model(data, true)) do
          assert.is_true(snr(want[i], output) > LEAST_SNR, ("%s %s"):format(name, target))
        end
        local path = os.tmpname() .. ".espdl"
        calib:export_espdl(model, t, path, { test_input = data:slice(1, 1) })
        check_file(path)
        os.remove(path)
      end
    end)
  end
end)
