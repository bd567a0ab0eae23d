--- The Calibrator: from a float model and sample data to a quantization table and coefficients.
---
---     local calib = espquant.Calibrator("int8", "per-channel", "entropy")
---     calib:check_model(model)
---     calib:generate_quantization_table(model, dataset, "calib.pickle")
---     calib:export_coefficient_to_cpp(model, "calib.pickle", "esp32s3", ".", "coefficient", true)
---
--- By name: Calibrator{bits =, granularity =, method =, mode =, runtime =, target =, threads =, input_exponent =, log =}.
--- The methods above have the names of the original's Python class and raise error objects, as it does; the native ways
--- beside them (`measure_table`) return nil, message, code. `log` receives what the original prints (default: print).

local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local progress = require "espquant.progress"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"

local Calibrator = { __name = "espquant.Calibrator" }
Calibrator.__index = Calibrator

local OPTIONS = { "bits", "granularity", "method" }
local MORE = { "mode", "runtime", "target", "threads", "input_exponent", "log" }

--- A new Calibrator. bits "int8" or "int16", granularity "per-tensor" or "per-channel", method "minmax" or "entropy".
local function new(...)
  local self = quant.options.parse({ ... }, OPTIONS, MORE)
  self.quant_bit, self.quant_val = self.bits, self.bits == 8 and 127.0 or 32767.0
  self.providers = { "CPUExecutionProvider" }
  self.log = self.log or print
  return setmetatable(self, Calibrator)
end

function Calibrator:__tostring()
  return ("Calibrator: int%d %s %s, %s mode, %s"):format(self.bits, self.granularity, self.method, self.mode, self.runtime)
end

--- Changes granularity and method; raises for values that do not exist or do not go together.
function Calibrator:set_method(granularity, method)
  quant.options.check("granularity", granularity)
  quant.options.check("method", method)
  quant.options.check_combination { bits = self.bits, granularity = granularity, method = method }
  self.granularity, self.method = granularity, method
end

--- Stores the list of execution providers. There is one, the CPU; others raise when data is run.
function Calibrator:set_providers(providers)
  assert(type(providers) == "table", "set_providers: a list of names expected")
  self.providers = providers
end

local function check_providers(self)
  for _, name in ipairs(self.providers) do
    if name ~= "CPUExecutionProvider" then
      errors.raise("unsupported", ("Specified provider '%s' is unavailable. The only one is CPUExecutionProvider."):format(name))
    end
  end
end

--- 0 when the model can be quantized, else -1 and the list of reasons, each with node, op, shapes, cause. In "original"
--- mode a refusal raises, as in the original (its documents say -1).
function Calibrator:check_model(model)
  local ok, message, code, problems = quant.check(model, self.mode, "calibrator")
  if ok then return 0 end
  if self.mode == "original" then errors.raise(code, message, problems) end
  return -1, problems
end

-- One pass over the dataset, everything observed.
local function feed(self, exec, data, observation, title)
  local bar, images = progress.new { title = title, total = data:count() }, 0
  for inputs in data:batches() do
    local n = type(inputs) == "table" and #inputs[1] or #inputs
    if n > 0 then errors.check(exec:run(inputs, observation, false)) end
    images = images + n
    bar:update(images)
  end
  bar:close()
  if images == 0 then errors.raise("format", "the calibration dataset holds no image") end
  return images
end

-- The entropy method's exponent of tensor number i; a refused search falls back to minmax with a warning in "chip" mode.
local function entropy_exponent(self, histograms, ranges, i, name, warnings)
  local threshold, message, code, exception, text = histograms:threshold(i)
  if threshold then return core.exponent_of_threshold(threshold) end
  if self.mode == "original" then
    return nil, exception == "ValueError" and text or ("the search for a threshold of '%s' failed: %s"):format(name, message), code
  end
  warnings[#warnings + 1] = ("'%s': no threshold by entropy (%s); its range is taken instead"):format(name, message)
  local lo, hi, nan = ranges:range(i)
  return core.exponent_of_absmax(nan and 0 / 0 or math.max(math.abs(lo), math.abs(hi)), self.bits)
end

-- name -> exponent for every name, in one pass (minmax) or two (entropy).
local function measure(self, model, data, names, warnings)
  local exec = errors.check(core.executor(model, { threads = self.threads, outputs = {} }))
  local ranges = errors.check(core.observe_range(model, names))
  self.images = feed(self, exec, data, ranges, "range")
  local histograms
  if self.method == "entropy" then
    histograms = errors.check(core.observe_histogram(ranges))
    feed(self, exec, data, histograms, "histogram")
  end
  local found = {}
  for i, name in ipairs(names) do
    local lo, hi, nan = ranges:range(i)
    local e, message, code
    if histograms then e, message, code = entropy_exponent(self, histograms, ranges, i, name, warnings)
    else e = core.exponent_of_absmax(nan and 0 / 0 or math.max(math.abs(lo), math.abs(hi)), self.bits) end
    if e == nil then return nil, message, code end
    found[name] = e
  end
  return found
end

-- Raises what the model or the data have wrong; returns the table.
local function build_table(self, model, source)
  errors.check(quant.check(model, self.mode, "calibrator"))
  check_providers(self)
  local data, warnings = errors.check(dataset.of(source, model)), {}
  local t = errors.check(quant.v1.build(model, self, function(names)
    return measure(self, model, data, names, warnings)
  end))
  t.facts.target = self.target
  for _, warning in ipairs(t.warnings) do warnings[#warnings + 1] = warning end
  t.warnings = warnings
  return t
end

--- The table of a model over a dataset, not written anywhere: a qtable with `warnings`, or nil, message, code, problems.
function Calibrator:measure_table(model, source)
  local ok, t = pcall(build_table, self, model, source)
  if ok then return t end
  if not errors.is(t) then error(t, 0) end
  return nil, t.message, t.code, t.problems
end

--- Measures the model over the dataset and writes the table: the original's pickle, or JSON where the name ends so.
--- Warnings are logged. Returns the table; raises an error object.
function Calibrator:generate_quantization_table(model, source, path)
  local t = build_table(self, model, source)
  for _, warning in ipairs(t.warnings) do self.log("warning: " .. warning) end
  if path then errors.check(t:save(path)) end
  return t
end

--- Writes `<output_path>/<file_name>.cpp` and `.hpp` with the integer coefficients for a chip; `table` is a path or a
--- qtable. With print_model_info also logs the exponents of every layer. Raises an error object.
function Calibrator:export_coefficient_to_cpp(model, table, target_chip, output_path, file_name, print_model_info)
  local t = qtable.is(table) and table or errors.check(qtable.load(table))
  local exporter = require "espquant.export.cpp"
  errors.check(exporter.write(model, t, {
    bits = self.bits, granularity = self.granularity, target = target_chip, path = output_path, name = file_name,
    print_model_info = print_model_info, log = self.log, mode = self.mode,
  }))
end

return new
