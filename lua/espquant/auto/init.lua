--- The cheapest configuration of ESP-DL v3 that meets a goal.
---
---     local found = espquant.auto(model, images, { goal = "agreement >= 0.99", target = "esp32s3" })
---     found.reached, found.score      -- whether the goal is met, and with what figure
---     found.config                    -- options of a Calibrator that give the table again
---     found.table                     -- the table itself
---     found.rows                      -- all that was measured: { config =, score =, snr =, cost =, label = }
---
--- Options: goal (a text of auto/goal.lua, or { score = function, least = number }), target, test (data that the goal
--- is measured on; else those of calibration), labels (an int64 tensor, for "accuracy"), state (a file in which figures
--- are kept, so that an interrupted search goes on), observers and weight_observers (lists to choose from), threads,
--- log. Raises error objects.

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local digest = require "espquant.dataset.digest"
local errors = require "espquant.errors"
local goals = require "espquant.auto.goal"
local prepare = require "espquant.quant.v3.prepare"
local search = require "espquant.auto.search"
local states = require "espquant.auto.state"
local units_of = require "espquant.auto.units".of
local version = require "espquant.version"

local OBSERVERS = { "kl", "minmax", "percentile", "mse" }
local WEIGHT_OBSERVERS = { "minmax", "mse" }

-- The goal of a text or table; raises for a wrong one.
local function goal_of(given)
  if type(given) == "table" then
    return { metric = "score", least = given.least, text = ("score >= %g"):format(given.least), score = given.score }
  end
  local goal, message = goals.parse(given)
  if not goal then error(message, 0) end
  return goal
end

local function hash_of(data)
  local hashes = digest.new()
  for inputs in data:batches() do hashes:add(inputs) end
  return hashes:hash()
end

-- The Calibrator's options of a configuration of the search.
local function calibrator_options(config, units, options)
  local layers = {}
  for _, i in ipairs(config.wide) do
    for _, name in ipairs(units[i].nodes) do layers[name] = "int16" end
  end
  return {
    bits = "int8", runtime = "v3", target = options.target, observer = config.observer,
    weight_observer = config.weight_observer, layers = next(layers) and layers,
  }
end

-- What stands for a configuration in the state's file.
local function key_of(config, units)
  local names = {}
  for k, i in ipairs(config.wide) do names[k] = units[i].name end
  return ("observer=%s weight_observer=%s int16=%s"):format(config.observer or "", config.weight_observer or "",
    table.concat(names, ","))
end

local function calibrate(model, data, o, options)
  local settings = { threads = options.threads, log = function() end }
  for name, value in pairs(o) do settings[name] = value end
  return errors.check(Calibrator(settings):measure_table(model, data))
end

-- The goal's figures of a table over the test data.
local function evaluate(model, t, test, goal, options)
  local eva = Evaluator { bits = "int8", runtime = "v3", chip = options.target, threads = options.threads }
  eva:generate_quantized_model(model, t)
  local float <close> = errors.check(core.executor(model, { threads = options.threads }))
  local sums = goals.start(goal, options.labels)
  for batch in test:batches() do
    local want = errors.check(float:run(batch))
    sums:add(want, eva:evaluate_quantized_model(batch, true), type(batch) == "table" and #batch[1] or #batch)
  end
  return sums:result()
end

local function state_of(model, data, test, goal, options)
  if not options.state then return states.open(nil, {}) end
  return states.open(options.state, {
    model = core.sha256(errors.check(core.onnx_encode(model))), goal = goal.text, target = options.target,
    data = hash_of(data) .. (test ~= data and "/" .. hash_of(test) or ""), tool = "espquant " .. version,
  })
end

--- Searches the cheapest configuration of ESP-DL v3 that meets a goal: auto(model, images, { goal = "snr >= 30", target
--- =, test =, labels =, state =, observers =, weight_observers =, threads =, log = }). Returns { reached =, score =,
--- snr =, cost =, config =, table =, rows =, goal = }.
return function(model, source, options)
  local goal, target = goal_of(options.goal), options.target or "esp32s3"
  options = setmetatable({ target = target }, { __index = options })
  Calibrator { bits = "int8", runtime = "v3", target = target } -- raises for a wrong target
  if goal.metric == "accuracy" and not options.labels then error("the goal 'accuracy' needs labels", 0) end
  local data = errors.check(dataset.of(source, model))
  local test = options.test and errors.check(dataset.of(options.test, model)) or data
  local units, state = units_of(errors.check(prepare(model))), state_of(model, data, test, goal, options)
  local best, rows = search(units, {
    least = goal.least, observers = options.observers or OBSERVERS,
    weight_observers = options.weight_observers or WEIGHT_OBSERVERS,
  }, function(config)
    local key = key_of(config, units)
    local known = state:get(key)
    if known then return known end
    local t = calibrate(model, data, calibrator_options(config, units, options), options)
    local figures = evaluate(model, t, test, goal, options)
    state:put(key, figures)
    return figures
  end, options.log)
  local config = calibrator_options(best.config, units, options)
  return {
    reached = best.score >= goal.least, score = best.score, snr = best.snr, cost = best.cost, config = config,
    rows = rows, goal = goal, table = calibrate(model, data, config, options),
  }
end
