--- How near the integer model's outputs come to a float model's: what a change of the float model gains, in dB.
---
---     local before = gain.snr(model, model, data, { bits = "int8" })
---     local after = gain.snr(model, equalized, data, { bits = "int8" })

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local core = require "espquant.core"
local errors = require "espquant.errors"
local goals = require "espquant.auto.goal"

local M = {}

--- The Evaluator's options that fit those of a Calibrator.
function M.simulation(settings)
  return {
    bits = settings.bits, granularity = settings.granularity, mode = settings.mode, runtime = settings.runtime,
    chip = settings.target, threads = settings.threads,
  }
end

--- The ratio of signal to noise of the outputs, in dB, the least of them: `model` is calibrated with `settings`
--- (options of a Calibrator) over the dataset, simulated on it, and compared with the float model `reference`. Raises.
function M.snr(reference, model, data, settings)
  local options = { log = function() end }
  for key, value in pairs(settings) do options[key] = value end
  local t = errors.check(Calibrator(options):measure_table(model, data))
  local eva = Evaluator(M.simulation(settings))
  eva:generate_quantized_model(model, t)
  local float <close> = errors.check(core.executor(reference, { threads = settings.threads }))
  local sums = goals.start { metric = "snr" }
  for batch in data:batches() do
    local images = type(batch) == "table" and #batch[1] or #batch
    sums:add(errors.check(float:run(batch)), eva:evaluate_quantized_model(batch, true), images)
  end
  return sums:result().snr
end

return M
