--- The options that Calibrator and Evaluator share: documented values, positional or by name, and their refusals.
---
---     options.parse({ "int8", "per-channel", "entropy" }, { "bits", "granularity", "method" }, { "mode" })
---     options.parse({ { bits = "int8", mode = "original" } }, { "bits" }, { "mode" })
---
--- A wrong option is misuse: it raises a plain error whose text is the original's, where the original has one.

local core = require "espquant.core"
local deviations = require "espquant.quant.v3.deviations"
local v3_target = require "espquant.quant.v3.target"

local M = {}

local BITS = { int8 = 8, int16 = 16 }
local VALUES = {
  bits = { "int8", "int16" },
  granularity = { "per-tensor", "per-channel" },
  method = { "minmax", "entropy" },
  mode = { "chip", "original" },
  runtime = { "v1", "v3" },
  chip = { "esp32s3" },
  target = {},
  accumulator = { "exact", "lanes" },
  isa = { "portable", "avx2", "avx512-vnni", "auto" },
  role = { "calibrator", "evaluator", "table" }, -- of quant/check.lua
}
for _, t in ipairs(core.targets()) do
  if t.runtime == "v1" then table.insert(VALUES.target, t.chip) end
end
-- What has other values, and options that others do not have, with ESP-DL v3.
local VALUES_V3 = { target = v3_target.CHIPS, chip = v3_target.CHIPS, mode = { "chip" } }
local RUNTIME_OF = {
  granularity = "v1", method = "v1", input_exponent = "v1", model_scales = "v1", observer = "v3",
  weight_observer = "v3", layers = "v3", runtime_version = "v3",
}
local OBSERVERS = { "kl", "minmax", "percentile", "mse" }

local DEFAULTS = {
  granularity = "per-tensor", method = "minmax", mode = "chip", runtime = "v1", chip = "esp32s3", target = "esp32s3",
  isa = "auto", role = "calibrator", accumulator = "exact",
}

-- "`a`, `b` or `c`".
local function alternatives(values)
  local quoted = {}
  for i, value in ipairs(values) do quoted[i] = "`" .. value .. "`" end
  local last = table.remove(quoted)
  return #quoted > 0 and table.concat(quoted, ", ") .. " or " .. last or last
end

-- What the original says, where it says something; ours comes after it.
local ORIGINAL = {
  bits = "supported quantization bit: 8 or 16; expected `int8` or `int16`",
  granularity = "supported granularity: " .. alternatives(VALUES.granularity),
  method = "supported calibration method: " .. alternatives(VALUES.method),
  chip = "currently only supports `esp32s3`, while received %s",
}

-- What other options expect.
local EXPECTED = {
  threads = "an integer from 0 (all) to 1024",
  input_exponent = "an integer from -64 to 64, `measured` or a table of these by input",
  log = "a function",
  model_scales = "true or false",
  outputs = "a list of names",
  observer = "`kl`, `minmax`, `percentile` or `mse`",
  weight_observer = "`kl`, `minmax`, `percentile` or `mse`",
  runtime_version = "a version of ESP-DL such as 3.3.9",
  layers = "a table of names or patterns to `int8`, `int16`, `float` or a table of bits, observer, weight_observer",
}

local function is_exponent(x)
  return x == "measured" or math.type(x) == "integer" and x >= -64 and x <= 64
end

local function is_by_input(x)
  for name, e in pairs(x) do
    if type(name) ~= "string" or not is_exponent(e) then return false end
  end
  return true
end

local function is_one_of(values, value)
  for _, each in ipairs(values) do
    if each == value then return true end
  end
  return false
end

local function is_observer(x) return is_one_of(OBSERVERS, x) end

local LAYER_OPTIONS = {
  bits = function(x) return x == "int8" or x == "int16" or x == "float" end,
  observer = is_observer,
  weight_observer = is_observer,
}

-- What `layers` says of one layer: a width, or a table of options.
local function is_layer(x)
  for option, value in pairs(type(x) == "table" and x or { bits = x }) do
    if not LAYER_OPTIONS[option] or not LAYER_OPTIONS[option](value) then return false end
  end
  return x ~= nil
end

local function is_layers(x)
  for name, layer in pairs(x) do
    if type(name) ~= "string" or not is_layer(layer) then return false end
  end
  return true
end

-- Options whose values are no short list; nil is always allowed.
local TESTS = {
  threads = function(x) return math.type(x) == "integer" and x >= 0 and x <= 1024 end,
  input_exponent = function(x) return is_exponent(x) or type(x) == "table" and is_by_input(x) end,
  model_scales = function(x) return type(x) == "boolean" end,
  log = function(x) return type(x) == "function" end,
  outputs = function(x) return type(x) == "table" and #x > 0 end,
  observer = is_observer,
  weight_observer = is_observer,
  layers = function(x) return type(x) == "table" and is_layers(x) end,
  runtime_version = deviations.is_version,
}

local function values_of(option, runtime)
  return runtime == "v3" and VALUES_V3[option] or VALUES[option]
end

local function got(value)
  if type(value) == "table" then return "a table" end
  return type(value) == "string" and '"' .. value .. '"' or tostring(value)
end

-- Why the value is refused: what is allowed, and what was got.
local function refusal(option, value, runtime)
  if EXPECTED[option] then return ("%s: %s expected, got %s"):format(option, EXPECTED[option], got(value)) end
  local own = runtime == "v3" and VALUES_V3[option]
  local text = not own and ORIGINAL[option]
    or ("supported %s: %s"):format(option, alternatives(values_of(option, runtime)))
  if text:find("%s", 1, true) then return text:format(tostring(value)) end
  return ("%s, got %s"):format(text, got(value))
end

--- The values of an option, in the order of the documents; `runtime` is "v1" when left out.
function M.values(option, runtime)
  return { table.unpack(option:match "observer$" and OBSERVERS or values_of(option, runtime)) }
end

--- The number of bits of "int8" or "int16".
function M.bits(name) return BITS[name] end

--- Returns `value` if it is one of the option's documented values, and raises otherwise.
function M.check(option, value, runtime)
  local values = values_of(option, runtime)
  local is_wrong = value ~= nil and not (values or TESTS[option](value)) or values and not is_one_of(values, value)
  if is_wrong then error(refusal(option, value, runtime), 0) end
  return value
end

-- Options of another runtime are a mistake, which must not pass unseen.
local function check_runtime(given, runtime)
  for option, owner in pairs(RUNTIME_OF) do
    if given[option] ~= nil and owner ~= runtime then
      error(("option '%s' is of runtime `%s`, not of `%s`"):format(option, owner, runtime), 0)
    end
  end
end

--- Saturating lanes are those of one chip, and of what chips compute; raises for others. The chip is `o.chip`, or the
--- calibration's `o.target`.
function M.check_accumulator(o)
  if o.accumulator ~= "lanes" then return end
  local chip = o.chip or o.target or DEFAULTS.chip
  if chip ~= "esp32s3" then
    error(("accumulator `lanes` simulates the saturating sums of the `esp32s3`, not of the `%s`; leave it out"):format(
      chip), 0)
  end
  if o.mode == "original" then
    error('accumulator `lanes` is for mode "chip"; mode "original" has the figures of the original tool', 0)
  end
end

--- int16 knows one granularity and one method, and no KL search, a runtime its options, a chip its accumulators; raises
--- for others. `o.bits` is a width or its name.
function M.check_combination(o)
  check_runtime(o, o.runtime or DEFAULTS.runtime)
  M.check_accumulator(o)
  if o.bits ~= 16 and o.bits ~= "int16" then return end
  if o.observer == "kl" then error("the observer `kl` is for int8; int16 knows minmax, percentile and mse", 0) end
  if o.granularity == "per-channel" then
    error('int16 only supports per-tensor quantization, got "per-channel"', 0)
  end
  if o.method == "entropy" then error('int16 only supports minmax calibration method, got "entropy"', 0) end
end

--- Raises for a list of execution providers that is none. There is one provider; others are refused when data is run.
function M.check_providers(providers)
  if type(providers) ~= "table" then
    error(("set_providers: a list of names expected, got %s"):format(got(providers)), 0)
  end
  return providers
end

--- True, or nil, message, code for the first provider that is not the CPU.
function M.available(providers)
  for _, name in ipairs(providers) do
    if name ~= "CPUExecutionProvider" then
      local text = "Specified provider '%s' is unavailable. The only one is CPUExecutionProvider."
      return nil, text:format(tostring(name)), "unsupported"
    end
  end
  return true
end

local function list_of(names, more)
  local list, known = { table.unpack(names) }, {}
  for _, name in ipairs(more) do list[#list + 1] = name end
  for _, name in ipairs(list) do known[name] = true end
  return list, known
end

-- A table of options, in which `bits` may be a number.
local function named(options, list, known)
  local given = {}
  for key, value in pairs(options) do
    if not known[key] then
      error(("unknown option '%s'; there are: %s"):format(tostring(key), table.concat(list, ", ")), 0)
    end
    given[key] = value
  end
  if math.type(given.bits) == "integer" then given.bits = "int" .. given.bits end
  return given
end

-- The arguments by name.
local function by_name(arguments, names, list, known)
  if type(arguments[1]) == "table" then return named(arguments[1], list, known) end
  if #arguments > #names then
    error(("%d arguments, expected at most %d: %s; others are given by name, in a table"):format(#arguments, #names,
      table.concat(names, ", ")), 0)
  end
  local given = {}
  for i, name in ipairs(names) do given[name] = arguments[i] end
  return given
end

--- Arguments of a constructor as a new table of options: by position in the order of `names`, or one table by name
--- whose keys may also be those of `more`. `bits` becomes a number. Unknown keys and values raise.
function M.parse(arguments, names, more)
  local list, known = list_of(names, more)
  local given, o = by_name(arguments, names, list, known), {}
  local runtime = M.check("runtime", given.runtime or DEFAULTS.runtime)
  for _, name in ipairs(list) do
    o[name] = given[name]
    if o[name] == nil and (RUNTIME_OF[name] or runtime) == runtime then o[name] = DEFAULTS[name] end
    if o[name] ~= nil and (VALUES[name] or TESTS[name]) or name == "bits" then M.check(name, o[name], runtime) end
  end
  o.runtime = runtime
  M.check_combination(o)
  o.bits = BITS[o.bits]
  return o
end

return M
