--- What one configuration makes of a model: its table, its integer model, figures of both.
---
---     local result, sums, tables = configuration(model, data, labels, { runtime = "v3", bits = "int8" }, threads)
---     if result.refused then print(result.refused.message) end

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local accuracy = require "espquant.accuracy"
local core = require "espquant.core"
local errors = require "espquant.errors"
local estimate = require "espquant.estimate"
local json = require "espquant.json"
local lanes = require "espquant.quant.lanes"

local USUAL_CHIP = "esp32s3"

local function finite(x)
  return x == x and math.abs(x) < math.huge and x or json.null
end

-- A v1 configuration for the usual chip does not name it, as Calibrator's options do not.
local function label_of(config)
  local is_v3 = config.runtime == "v3"
  local target = config.target ~= USUAL_CHIP and config.target
  local list = {}
  for _, part in ipairs { config.runtime or "v1", config.bits, config.granularity or false, config.method or false,
    config.observer or false, is_v3 and config.target or target or false, config.accumulator or false } do
    if part then list[#list + 1] = part end
  end
  return table.concat(list, " ")
end

-- Signal over noise of the graph's outputs, the least of them.
local function output_snr(model, layers)
  local least = math.huge
  for _, output in ipairs(model.outputs) do
    local row = layers[output.name]
    if row and row.snr ~= json.null then least = math.min(least, row.snr) end
  end
  return finite(least)
end

local function layers_of(eva, report)
  local layers = json.object {}
  for _, row in ipairs(report) do
    local form = eva.simulation.form(eva, row.output)
    layers[row.output] = {
      exponent = row.exponent or json.null, bits = form and form.bits or json.null, snr = finite(row.snr),
      saturated = row.saturated, max_error = finite(row.max_error),
    }
  end
  return layers
end

-- The exponents of weights, the coarsest and the finest of each.
local function weights_of(t)
  local weights = json.object {}
  for _, entry in ipairs(t.entries) do
    if entry.kind ~= "input" and entry.kind ~= "activation" and entry.exponents then
      local lo, hi = math.huge, -math.huge
      for _, e in ipairs(entry.exponents) do lo, hi = math.min(lo, e), math.max(hi, e) end
      weights[entry.name] = { kind = entry.kind, min = finite(lo), max = finite(hi), count = #entry.exponents }
    end
  end
  return weights
end

local function input_exponents(model, t)
  local exponents = {}
  for _, input in ipairs(model.inputs) do exponents[input.name] = t:exponent(input.name) end
  return exponents
end

-- The table's, and what can saturate.
local function warnings_of(t, saturating)
  local list = json.array { table.unpack(t.warnings) }
  list[#list + 1] = lanes.text(saturating)
  return list
end

-- Evaluator's options. v1's simulation is the same for every target; saturating lanes are those of the ESP32-S3.
local function evaluation_of(config, threads)
  return {
    threads = threads, bits = config.bits, granularity = config.granularity, runtime = config.runtime,
    chip = config.runtime == "v3" and config.target or nil, accumulator = config.accumulator,
  }
end

local function calibrate(model, data, config, threads)
  local options = { threads = threads, log = function() end }
  for key, value in pairs(config) do options[key] = value end
  options.accumulator = nil
  return Calibrator(options):generate_quantization_table(model, data)
end

-- What the exported model takes on its chip; the reason where it cannot be exported.
local function sizes_of(model, t, config)
  local ok, facts = errors.pcall(estimate, model, {
    table = t, runtime = config.runtime or "v1", target = config.target or USUAL_CHIP, bits = config.bits,
    granularity = config.granularity,
  })
  if not ok then return { reason = tostring(facts) } end
  return { flash = facts.flash, ram = facts.ram, ram_least = facts.ram_least, latency = facts.latency }
end

local function measure(model, data, labels, config, threads)
  local t = calibrate(model, data, config, threads)
  local eva = Evaluator(evaluation_of(config, threads))
  eva:generate_quantized_model(model, t)
  local float <close> = errors.check(core.executor(model, { threads = threads }))
  local sums = accuracy.compare(data, float, eva, labels)
  local layers, exponents = layers_of(eva, eva:layer_report(data)), input_exponents(model, t)
  local saturating = (config.target or USUAL_CHIP) == USUAL_CHIP and eva:saturating_layers() or {}
  return {
    label = label_of(config), runtime = config.runtime or "v1", target = config.target or USUAL_CHIP, bits = eva.bits,
    inputs = json.object(exponents),
    layers = layers, accuracy = labels and sums.right / sums.images or json.null, agreement = sums.equal / sums.images,
    snr = output_snr(model, layers), sizes = sizes_of(model, t, config), weights = weights_of(t),
    warnings = warnings_of(t, saturating), accumulator = eva.accumulator, saturating_layers = json.array(saturating),
  }, sums, { layers = layers, exponents = exponents, bits = eva.bits }
end

--- The facts of a configuration (options of a Calibrator, and `accumulator`); the sums of `accuracy.compare`; and what
--- `cause.worst` wants. Where the model or the data cannot take it: { label, refused = { code, message, problems } },
--- nil and the error object. Other errors rise.
return function(model, data, labels, config, threads)
  local ok, result, sums, tables = errors.pcall(measure, model, data, labels, config, threads)
  if ok then return result, sums, tables end
  local err = result
  local is_refusal = errors.is(err) and (err.code == "unsupported" or err.code == "format")
  if not is_refusal then error(err, 0) end
  local problems = json.array()
  for i, problem in ipairs(err.problems or {}) do problems[i] = problem.message or tostring(problem) end
  return {
    label = label_of(config), runtime = config.runtime or "v1", target = config.target or USUAL_CHIP,
    refused = { code = err.code, message = err.message, problems = problems },
  }, nil, err
end
