--- Measures one model in this process, so that the peak of memory is this model's; prints one line of JSON.
---
---     espquant measure.lua build NAME FORM file.onnx
---     espquant measure.lua measure NAME float.onnx chip.onnx IMAGES SECONDS
---     espquant measure.lua float NAME float.onnx IMAGES SECONDS THREADS        (images per second alone)
---
--- Times are the best of several, as other processes only ever add to them. Throughputs are taken in turns, so that a
--- slow moment of the machine does not hit one of them alone.

local core = require "espquant.core"
local espquant = require "espquant"
local json = require "espquant.json"

local check = espquant.errors.check
local models = dofile(assert(arg[0]:match "^(.*)/", "run by its path") .. "/models.lua")

local ROUNDS, THREADS = 4, { 1, 2 }

-- Seconds of the fastest of n calls, and the last call's result.
local function best_of(n, call)
  local best, result = math.huge, {}
  for _ = 1, n do
    result[1] = nil
    collectgarbage()
    local start = core.clock()
    result[1] = call()
    best = math.min(best, core.clock() - start)
  end
  return best, result[1]
end

local function megabytes()
  return core.peak_rss() / 1e6
end

-- --- what is run ---------------------------------------------------------------------------------------------------

local function float_runner(graph, images, threads)
  local exec = check(core.executor(graph, { threads = threads }))
  return function() check(exec:run(images)) end
end

local function integer_runner(graph, images, threads, bits, table)
  local evaluator = espquant.Evaluator { bits = bits, granularity = table.facts.granularity, threads = threads }
  evaluator:generate_quantized_model(graph, table)
  return function() evaluator:evaluate_quantized_model(images) end
end

local function calibrate(graph, images, bits, granularity, method)
  local calibrator = espquant.Calibrator {
    bits = bits, granularity = granularity, method = method, threads = THREADS[#THREADS], log = function() end,
  }
  return check(calibrator:measure_table(graph, images))
end

-- --- throughput ----------------------------------------------------------------------------------------------------

-- Runs until `seconds` have passed; returns images per second of the fastest run.
local function rate(run, images, seconds)
  local start, best = core.clock(), math.huge
  repeat
    local before = core.clock()
    run()
    local now = core.clock()
    best = math.min(best, now - before)
  until now - start >= seconds
  return #images / best
end

-- Images per second of each runner, in turns.
local function rates(runners, images, seconds)
  local best = {}
  for _ = 1, ROUNDS do
    for key, run in pairs(runners) do best[key] = math.max(best[key] or 0, rate(run, images, seconds / ROUNDS)) end
  end
  return best
end

-- --- actions -------------------------------------------------------------------------------------------------------

local function build(name, form, path)
  check(espquant.onnx.save(models.build(name, form), path))
end

local function measure(name, float_path, chip_path, count, seconds)
  count, seconds = tonumber(count) // 1, tonumber(seconds)
  local images, fact = models.images(name, count), { model = name, images = count }
  local float, loaded
  fact.load, loaded = best_of(3, function() return check(espquant.onnx.load(float_path)) end)
  fact.optimize, float = best_of(3, function() return espquant.optimizer.optimize(loaded) end)
  local chip = check(espquant.onnx.load(chip_path))
  local graph = espquant.optimizer.optimize(chip)
  local tables = {}
  fact.minmax, tables.int8 = best_of(2, function() return calibrate(graph, images, "int8", "per-channel", "minmax") end)
  fact.calibration_memory_minmax = megabytes()
  fact.entropy = best_of(2, function() return calibrate(graph, images, "int8", "per-channel", "entropy") end)
  fact.calibration_memory = megabytes()
  tables.int16 = calibrate(graph, images, "int16", "per-tensor", "minmax")
  local runners = {}
  for _, threads in ipairs(THREADS) do
    runners["float_" .. threads] = float_runner(float, images, threads)
    for bits, table in pairs(tables) do
      runners[bits .. "_" .. threads] = integer_runner(graph, images, threads, bits, table)
    end
  end
  for key, value in pairs(rates(runners, images, seconds)) do fact[key] = value end
  fact.memory = megabytes()
  print(json.encode(fact))
end

local function float_rate(name, path, count, seconds, threads)
  local graph, images = check(espquant.onnx.load(path)), models.images(name, tonumber(count) // 1)
  local run = float_runner(espquant.optimizer.optimize(graph), images, tonumber(threads) // 1)
  print(rate(run, images, tonumber(seconds)))
end

local actions = { build = build, measure = measure, float = float_rate }
actions[arg[1]](table.unpack(arg, 2))
