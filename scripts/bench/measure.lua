--- Measures one model in this process, so that the peak of memory is this model's; prints one line of JSON.
---
---     espquant measure.lua build NAME FORM file.onnx
---     espquant measure.lua measure NAME float.onnx chip.onnx IMAGES SECONDS
---     espquant measure.lua float NAME float.onnx IMAGES SECONDS THREADS        (images per second alone)
---
--- Times are the best of several, as other processes only ever add to them; NAME_median is the median, to tell how
--- quiet the machine was. What is compared is taken in turns, so that a slow moment of the machine does not hit one of
--- them alone.

local core = require "espquant.core"
local espquant = require "espquant"
local json = require "espquant.json"

local check = espquant.errors.check
local models = dofile(assert(arg[0]:match "^(.*)/", "run by its path") .. "/models.lua")

local ROUNDS, THREADS = 4, { 1, 2 }

local function median(list)
  table.sort(list)
  return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

-- Calls each of `calls`, by name, `rounds` times in turns; puts seconds of the fastest and the median into `fact`.
-- Returns the last results by name.
local function time_in_turns(fact, rounds, calls)
  local seconds, results = {}, {}
  for _ = 1, rounds do
    for name, call in pairs(calls) do
      results[name] = nil
      collectgarbage()
      local start = core.clock()
      results[name] = call()
      seconds[name] = seconds[name] or {}
      table.insert(seconds[name], core.clock() - start)
    end
  end
  for name, list in pairs(seconds) do fact[name .. "_median"], fact[name] = median(list), list[1] end
  return results
end

local function time(fact, name, rounds, call)
  return time_in_turns(fact, rounds, { [name] = call })[name]
end

-- Processes that ran or waited, over the last minute: figures of a busy machine mean little.
local function load_average()
  local file <close> = assert(io.open "/proc/loadavg")
  return file:read "n"
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

-- Images per second of each runner, in turns: of the fastest run, and the median of the rounds' fastest.
local function rates(fact, runners, images, seconds)
  local all = {}
  for _ = 1, ROUNDS do
    for key, run in pairs(runners) do
      all[key] = all[key] or {}
      table.insert(all[key], rate(run, images, seconds / ROUNDS))
    end
  end
  for key, list in pairs(all) do fact[key .. "_median"], fact[key] = median(list), list[#list] end
end

-- Inference of the graph that calibration sees, and the pass that observes what the table `t` measured.
local function collecting(graph, images, t)
  local names, threads = {}, THREADS[#THREADS]
  for node in graph:nodes() do
    for _, output in ipairs(node.outputs) do
      if t:exponent(output.name) then names[#names + 1] = output.name end
    end
  end
  for _, input in ipairs(graph.inputs) do names[#names + 1] = input.name end
  local infer = check(core.executor(graph, { threads = threads }))
  local exec = check(core.executor(graph, { threads = threads, outputs = {} }))
  return {
    inference = function() check(infer:run(images)) end,
    collect = function() check(exec:run(images, check(core.observe_range(graph, names)), false)) end,
  }
end

-- --- actions -------------------------------------------------------------------------------------------------------

local function build(name, form, path)
  check(espquant.onnx.save(models.build(name, form), path))
end

local function measure(name, float_path, chip_path, count, seconds)
  count, seconds = tonumber(count) // 1, tonumber(seconds)
  local images, fact = models.images(name, count), { model = name, images = count }
  local rounds = seconds < 1 and 3 or 7
  local loaded = time(fact, "load", 3, function() return check(espquant.onnx.load(float_path)) end)
  local float = time(fact, "optimize", 3, function() return espquant.optimizer.optimize(loaded) end)
  local chip = check(espquant.onnx.load(chip_path))
  local graph = espquant.optimizer.optimize(chip)
  local tables = {}
  tables.int8 = time(fact, "minmax", rounds, function() return calibrate(graph, images, "int8", "per-channel", "minmax") end)
  fact.calibration_memory_minmax = megabytes()
  time(fact, "entropy", rounds // 2 + 1, function() return calibrate(graph, images, "int8", "per-channel", "entropy") end)
  fact.calibration_memory = megabytes()
  time_in_turns(fact, rounds, collecting(graph, images, tables.int8))
  tables.int16 = calibrate(graph, images, "int16", "per-tensor", "minmax")
  local runners = {}
  for _, threads in ipairs(THREADS) do
    runners["float_" .. threads] = float_runner(float, images, threads)
    for bits, table in pairs(tables) do
      runners[bits .. "_" .. threads] = integer_runner(graph, images, threads, bits, table)
    end
  end
  rates(fact, runners, images, seconds)
  fact.memory, fact.load_average = megabytes(), load_average()
  print(json.encode(fact))
end

local function float_rate(name, path, count, seconds, threads)
  local graph, images = check(espquant.onnx.load(path)), models.images(name, tonumber(count) // 1)
  local run = float_runner(espquant.optimizer.optimize(graph), images, tonumber(threads) // 1)
  print(rate(run, images, tonumber(seconds)))
end

local actions = { build = build, measure = measure, float = float_rate }
actions[arg[1]](table.unpack(arg, 2))
