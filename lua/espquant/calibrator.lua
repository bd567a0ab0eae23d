--- The Calibrator: from a float model and sample data to a quantization table and coefficients.
---
---     local calib = espquant.Calibrator("int8", "per-channel", "entropy")
---     calib:check_model(model)
---     calib:generate_quantization_table(model, dataset, "calib.pickle")
---     calib:export_coefficient_to_cpp(model, "calib.pickle", "esp32s3", ".", "coefficient", true)
---
--- By name: Calibrator{bits =, granularity =, method =, mode =, runtime =, target =, threads =, input_exponent =,
--- log =}. `input_exponent` is an integer, "measured", or a table of these by input; without it inputs are supposed to
--- lie in [-1, 1), as in the original. `model_scales` (true): tensors that the model has trained scales of
--- (espquant.model_scales) take the nearest power of two of these, inputs included, instead of what is measured.
--- `log` receives what the original prints, and warnings (default: print).
---
--- The methods above have the names of the original's Python class and raise error objects (`espquant.errors`) for what
--- is wrong with models, data and files, as it does; `measure_table` returns nil, message, code, problems instead.
--- Wrong options are misuse and raise the original's text. Other than the original, set_method refuses values that do
--- not exist, and leaves the object as it was.

local core = require "espquant.core"
local dataset = require "espquant.dataset"
local digest = require "espquant.dataset.digest"
local errors = require "espquant.errors"
local model_scales = require "espquant.model_scales"
local progress = require "espquant.progress"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"
local version = require "espquant.version"

local Calibrator = { __name = "espquant.Calibrator" }
Calibrator.__index = Calibrator

local OPTIONS = { "bits", "granularity", "method" }
local MORE = { "mode", "runtime", "target", "threads", "input_exponent", "model_scales", "log" }

--- A new Calibrator. bits "int8" or "int16", granularity "per-tensor" or "per-channel", method "minmax" or "entropy".
local function new(...)
  local self = quant.options.parse({ ... }, OPTIONS, MORE)
  self.quant_bit, self.quant_val, self.output_channel_axis = self.bits, self.bits == 8 and 127.0 or 32767.0, 0
  self.providers = { "CPUExecutionProvider" }
  self.log = self.log or print
  quant.types.attributes(self, "calibrator")
  return setmetatable(self, Calibrator)
end

function Calibrator:__tostring()
  return ("Calibrator: int%d %s %s, %s mode, %s"):format(self.bits, self.granularity, self.method, self.mode,
    self.runtime)
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
  self.providers = quant.options.check_providers(providers)
end

--- 0 when the model can be quantized, else -1; the list of reasons, each with node, op, shapes, cause, remedy; and the
--- list of notes: operators that no chip was measured for. In "original" mode a refusal raises, as in the original (its
--- documents say -1), and there are no notes.
function Calibrator:check_model(model)
  local ok, message, code, problems = quant.check(model, self.mode, "calibrator")
  if not ok and self.mode == "original" then errors.raise(code, message, problems) end
  return ok and 0 or -1, problems or {}, quant.notes(model, self.mode)
end

-- --- data ---------------------------------------------------------------------------------------------------------

-- What the original's runtime says about one batch of another shape, or nil. It runs all data as one batch.
local function runtime_refusal(input, shape)
  local want, lines = input.shape or shape, {}
  if #want ~= #shape then
    return ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid rank for input: %s Got: %d Expected: %d "
      .. "Please fix either the inputs or the model."):format(input.name, #shape, #want)
  end
  for i, d in ipairs(want) do
    if math.type(d) == "integer" and d ~= shape[i] then
      lines[#lines + 1] = (" index: %d Got: %d Expected: %d\n"):format(i - 1, shape[i], d)
    end
  end
  return #lines > 0 and ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: %s for the "
    .. "following indices\n%s Please fix either the inputs or the model."):format(input.name, table.concat(lines))
    or nil
end

-- The source as a dataset for the model. "original" mode refuses a tensor as the original does, and in its words.
local function open_data(self, model, source)
  local data, message, code = dataset.of(source, model)
  if self.mode ~= "original" or type(source) ~= "userdata" or #model.inputs ~= 1 then
    return errors.check(data, message, code)
  end
  local problems, text = {}, "zero-size array to reduction operation maximum which has no identity"
  if source.shape[1] == 0 then problems.exception = "ValueError"
  else text, problems.exception = runtime_refusal(model.inputs[1], source.shape), "InvalidArgument" end
  if not text then return errors.check(data, message, code) end
  for i, node in ipairs(model.inputs[1]:users()) do
    problems[i] = quant.problem(node, (message or text) .. "; give images of the model's shape")
  end
  errors.raise("format", text, problems)
end

-- One pass over the dataset, everything observed. Returns the number of images and, if asked for, the hash of them all.
local function feed(exec, data, observation, title, hash)
  local bar <close>, images = progress.new { title = title, total = data:count() }, 0
  for inputs in data:batches() do
    errors.check(exec:run(inputs, observation, false))
    images = images + (type(inputs) == "table" and #inputs[1] or #inputs)
    hash = hash and digest(hash, inputs)
    bar:update(images)
  end
  return images, hash
end

-- --- measuring ----------------------------------------------------------------------------------------------------

local function absmax(ranges, i)
  local lo, hi, has_nan = ranges:range(i)
  return has_nan and 0 / 0 or math.max(math.abs(lo), math.abs(hi))
end

-- Why the search found no threshold for tensor number i: the text that the original raises, and its exception.
local function search_refusal(histograms, i, name)
  local _, message, code, exception, text = histograms:threshold(i)
  if exception ~= "ValueError" then text = ("the search for a threshold of '%s' failed: %s"):format(name, message) end
  return text, code, exception, message
end

-- "original" mode refuses tensors without a threshold: raises the first one's text, with a problem for each.
local function check_thresholds(model, histograms, thresholds, names)
  local problems, first, first_code = {}, nil, nil
  for i, name in ipairs(names) do
    if not thresholds[i] then
      local text, code, exception, message = search_refusal(histograms, i, name)
      if not first then first, first_code, problems.exception = text, code, exception end
      local why = ("no threshold by entropy for '%s' (%s); use minmax, or mode \"chip\", which falls back to it")
        :format(name, message)
      local node = model:value(name).producer
      problems[#problems + 1] = node and quant.problem(node, why) or why
    end
  end
  if first then errors.raise(first_code, first, problems) end
end

-- The entropy method's exponent of tensor number i; where the search found no threshold, that of its range.
local function entropy_exponent(self, histograms, thresholds, ranges, i, name, warnings)
  if thresholds[i] then return core.exponent_of_threshold(thresholds[i]) end
  local _, _, _, message = search_refusal(histograms, i, name)
  warnings[#warnings + 1] = ("'%s': no threshold by entropy (%s); its range is taken instead"):format(name, message)
  return core.exponent_of_absmax(absmax(ranges, i), self.bits)
end

-- Data beyond what the input's exponent holds is clipped, on the chip as well.
local function warn_of_clipped_inputs(self, model, ranges, first, warnings)
  if self.mode == "original" then return end
  for i, input in ipairs(model.inputs) do
    local reached, e = absmax(ranges, first + i), quant.inputs.exponent(self, input.name)
    local limit = e == "measured" and math.huge or 2.0 ^ (e + self.bits - 1)
    if reached > limit then
      warnings[#warnings + 1] = ("input '%s' reaches %.6g, but its exponent %d holds %g at most: what is beyond is "
        .. "clipped; scale the data, or give input_exponent (\"measured\")"):format(input.name, reached, e, limit)
    end
  end
end

-- name -> exponent for every name, in one pass (minmax) or two (entropy); the set `by_range` is always minmax.
local function measure(self, model, data, names, by_range, warnings, hash)
  local exec <close> = errors.check(core.executor(model, { threads = self.threads, outputs = {} }))
  local trained = self.model_scales and model_scales.exponents(model, self.bits) or {}
  local observed = table.move(names, 1, #names, 1, {})
  for _, input in ipairs(model.inputs) do observed[#observed + 1] = input.name end
  local ranges = errors.check(core.observe_range(model, observed))
  self.images, hash = feed(exec, data, ranges, "range", hash)
  warn_of_clipped_inputs(self, model, ranges, #names, warnings)
  local histograms, thresholds
  if self.method == "entropy" then
    histograms = errors.check(core.observe_histogram(ranges))
    feed(exec, data, histograms, "histogram")
    thresholds = errors.check(histograms:thresholds(self.threads))
    if self.mode == "original" then check_thresholds(model, histograms, thresholds, names) end
  end
  local found = {}
  for i, name in ipairs(names) do
    found[name] = trained[name]
      or histograms and not by_range[name]
        and entropy_exponent(self, histograms, thresholds, ranges, i, name, warnings)
      or core.exponent_of_absmax(absmax(ranges, i), self.bits)
  end
  return found, hash
end

-- The calibrator; where inputs have trained exponents, one that fixes these, unless the user gave another.
local function with_trained_inputs(self, model)
  if not self.model_scales then return self end
  local given, all = self.input_exponent, {}
  local trained = model_scales.exponents(model, self.bits)
  for _, input in ipairs(model.inputs) do
    local own = given
    if type(given) == "table" then own = given[input.name] end
    all[input.name] = own or trained[input.name]
  end
  for name, e in pairs(type(given) == "table" and given or {}) do all[name] = e end -- a wrong name is refused later
  return setmetatable({ input_exponent = all }, { __index = self, __newindex = self })
end

-- Raises what the model or the data have wrong; returns the table. `hash`: "" to hash the data, which takes time.
local function build_table(self, model, source, hash)
  self = with_trained_inputs(self, model)
  errors.check(quant.check(model, self.mode, "table"))
  errors.check(quant.options.available(self.providers))
  local data, warnings = open_data(self, model, source), {}
  local t = errors.check(quant.v1.build(model, self, function(names, by_range)
    local found, message, code = measure(self, model, data, names, by_range, warnings, hash)
    if not found then return nil, message, code end
    hash = message
    return found
  end))
  t.facts.isa, t.facts.data = core.isa(), hash
  t.facts.target, t.facts.tool = self.target, "espquant " .. version
  t.facts.model = core.sha256(errors.check(core.onnx_encode(model)))
  t.warnings = table.move(t.warnings, 1, #t.warnings, #warnings + 1, warnings)
  return t
end

--- The table of a model over a dataset, not written anywhere: a qtable with `warnings`, or nil, message, code,
--- problems.
function Calibrator:measure_table(model, source)
  local ok, t = pcall(build_table, self, model, source)
  if ok then return t end
  if not errors.is(t) then error(t, 0) end
  return nil, t.message, t.code, t.problems
end

--- Measures the model over the dataset and writes the table: the original's pickle, or JSON where the name ends so.
--- Warnings are logged. Returns the table; raises an error object.
function Calibrator:generate_quantization_table(model, source, path)
  -- The data is hashed for a file that says so.
  local t = build_table(self, model, source, path and path:lower():match "%.json$" and "" or nil)
  for _, warning in ipairs(t.warnings) do self.log("warning: " .. warning) end
  if path then errors.check(t:save(path)) end
  return t
end

-- --- export -------------------------------------------------------------------------------------------------------

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
