--- The Calibrator: from a float model and sample data to a quantization table and coefficients.
---
---     local calib = espquant.Calibrator("int8", "per-channel", "entropy")
---     calib:check_model(model)
---     calib:generate_quantization_table(model, dataset, "calib.pickle")
---     calib:export_coefficient_to_cpp(model, "calib.pickle", "esp32s3", ".", "coefficient", true)
---
--- For ESP-DL v3: Calibrator{bits =, runtime = "v3", target =, observer =, weight_observer =, layers =, threads =,
--- log =}. Observers are "kl" (int8 only), "minmax", "percentile" and "mse"; without them activations of int8 get kl,
--- of int16 minmax, weights percentile and minmax. `layers` has names of nodes or tensors, or patterns with "*", and
--- for each "int8", "int16", "float", or a table of bits, observer, weight_observer.
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
local errors = require "espquant.errors"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"
local shard = require "espquant.calibration.shard"
local sessions = require "espquant.calibration.session"
local version = require "espquant.version"

local Calibrator = { __name = "espquant.Calibrator" }
Calibrator.__index = Calibrator

local OPTIONS = { "bits", "granularity", "method" }
local MORE = {
  "mode", "runtime", "target", "threads", "input_exponent", "model_scales", "observer", "weight_observer", "layers",
  "log",
}

-- Which exponents a model gets, by runtime: check, notes and build of each.
local POLICIES = {
  v1 = require "espquant.calibration.v1",
  v3 = require "espquant.calibration.v3",
}

--- A new Calibrator. bits "int8" or "int16", granularity "per-tensor" or "per-channel", method "minmax" or "entropy".
local function new(...)
  local self = quant.options.parse({ ... }, OPTIONS, MORE)
  self.quant_bit, self.quant_val, self.output_channel_axis = self.bits, self.bits == 8 and 127.0 or 32767.0, 0
  self.providers = { "CPUExecutionProvider" }
  self.log, self.policy = self.log or print, POLICIES[self.runtime]
  if self.runtime == "v1" then quant.types.attributes(self, "calibrator") end
  return setmetatable(self, Calibrator)
end

function Calibrator:__tostring()
  if self.runtime ~= "v1" then return ("Calibrator: int%d, %s for %s"):format(self.bits, self.runtime, self.target) end
  return ("Calibrator: int%d %s %s, %s mode, %s"):format(self.bits, self.granularity, self.method, self.mode,
    self.runtime)
end

--- Changes granularity and method; raises for values that do not exist or do not go together.
function Calibrator:set_method(granularity, method)
  if self.runtime ~= "v1" then error("set_method: granularity and method are of runtime `v1`", 0) end
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
  local ok, message, code, problems = self.policy.check(self, model, "calibrator")
  if not ok and self.mode == "original" then errors.raise(code, message, problems) end
  return ok and 0 or -1, problems or {}, self.policy.notes(self, model)
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

-- The table that a session's statistics give; raises what the model or the data have wrong.
local function build_table(self, model, session)
  local t = self.policy.build(self, model, session)
  self.images = session.images
  t.facts.isa, t.facts.data = core.isa(), session:data_hash()
  t.facts.target, t.facts.tool = self.target, "espquant " .. version
  t.facts.model = core.sha256(errors.check(core.onnx_encode(model)))
  t.boundary = session.boundary
  t.warnings = table.move(t.warnings, 1, #t.warnings, #session.warnings + 1, session.warnings)
  return t
end

-- The data as a dataset of the model; raises what either has wrong.
local function prepared_data(self, model, source)
  errors.check(self.policy.check(self, model, "table"))
  errors.check(quant.options.available(self.providers))
  return open_data(self, model, source)
end

local function measured_table(self, model, source, hashed)
  return build_table(self, model, sessions.new(prepared_data(self, model, source), hashed))
end

--- The table of a model over a dataset, not written anywhere: a qtable with `warnings` and `boundary` (names of tensors
--- whose exponents float errors could have decided), or nil, message, code, problems.
function Calibrator:measure_table(model, source)
  local ok, t = pcall(measured_table, self, model, source)
  if ok then return t end
  if not errors.is(t) then error(t, 0) end
  return nil, t.message, t.code, t.problems
end

--- Measures the model over the dataset and writes the table: the original's pickle, or JSON where the name ends so.
--- Warnings are logged. Returns the table; raises an error object.
function Calibrator:generate_quantization_table(model, source, path)
  -- The data is hashed for a file that says so.
  local t = measured_table(self, model, source, path and path:lower():match "%.json$")
  for _, warning in ipairs(t.warnings) do self.log("warning: " .. warning) end
  if path then errors.check(t:save(path)) end
  return t
end

-- --- in parts ------------------------------------------------------------------------------------------------------

--- Statistics of one of `count` parts of the data, number `index` (from 1): an object of `espquant.shard`, whose
--- functions merge parts. Methods that need the range of all data first take two rounds: in the second, `ranges` is what
--- the parts of the first were merged to. Raises an error object.
function Calibrator:collect_statistics(model, source, index, count, ranges)
  return shard.collect(self, model, prepared_data(self, model, source), index, count, ranges)
end

--- How many rounds parts take with these options: 1 or 2.
function Calibrator:statistics_rounds(model)
  errors.check(self.policy.check(self, model, "table"))
  return shard.rounds(self, model)
end

--- The table that merged statistics of all parts give, the same as that of one run; raises an error object.
function Calibrator:table_of_statistics(model, merged)
  return build_table(self, model, shard.session(merged))
end

-- --- export -------------------------------------------------------------------------------------------------------

--- Writes `<output_path>/<file_name>.cpp` and `.hpp` with the integer coefficients for a chip; `table` is a path or a
--- qtable. With print_model_info also logs the exponents of every layer. Raises an error object.
function Calibrator:export_coefficient_to_cpp(model, table, target_chip, output_path, file_name, print_model_info)
  if self.runtime ~= "v1" then error("export_coefficient_to_cpp is of runtime `v1`; `v3` has export_espdl", 0) end
  local t = qtable.is(table) and table or errors.check(qtable.load(table))
  local exporter = require "espquant.export.cpp"
  errors.check(exporter.write(model, t, {
    bits = self.bits, granularity = self.granularity, target = target_chip, path = output_path, name = file_name,
    print_model_info = print_model_info, log = self.log, mode = self.mode,
  }))
end

--- Writes the file that the runtime of ESP-DL v3 loads; `table` is a path or a qtable of runtime v3. Options
--- (export/espdl): test_input = tensor puts a test of the model into the file, intermediates = { names } more tensors
--- of it; metadata = { key = text }, model_version, runtime_version = "3.3.9". Raises an error object.
function Calibrator:export_espdl(model, table, path, options)
  if self.runtime ~= "v3" then error("export_espdl is of runtime `v3`; `v1` has export_coefficient_to_cpp", 0) end
  local t = qtable.is(table) and table or errors.check(qtable.load(table))
  local o = { path = path, target = self.target, bits = self.bits }
  for key, value in pairs(options or {}) do o[key] = value end
  errors.check(require "espquant.export.espdl".write(model, t, o))
end

return new
