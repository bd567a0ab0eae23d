--- The options that Calibrator and Evaluator share: documented values, positional or by name, and their refusals.
---
---     options.parse({ "int8", "per-channel", "entropy" }, { "bits", "granularity", "method" }, { "mode" })
---     options.parse({ { bits = "int8", mode = "original" } }, { "bits" }, { "mode" })
---
--- A wrong option is misuse: it raises a plain error whose text is the original's, where the original has one.

local core = require "espquant.core"

local M = {}

local BITS = { int8 = 8, int16 = 16 }
local VALUES = {
  bits = BITS,
  granularity = { ["per-tensor"] = true, ["per-channel"] = true },
  method = { minmax = true, entropy = true },
  mode = { chip = true, original = true },
  runtime = { v1 = true },
  chip = { esp32s3 = true },
  target = {},
  isa = { portable = true, avx2 = true, ["avx512-vnni"] = true, auto = true },
  role = { calibrator = true, evaluator = true, table = true }, -- of quant/check.lua
}
for _, t in ipairs(core.targets()) do VALUES.target[t.chip] = VALUES.runtime[t.runtime] end

local DEFAULTS = {
  granularity = "per-tensor", method = "minmax", mode = "chip", runtime = "v1", chip = "esp32s3", target = "esp32s3",
  isa = "auto", role = "calibrator",
}
local TEXTS = {
  bits = "supported quantization bit: 8 or 16",
  granularity = "supported granularity: `per-tensor` or `per-channel`",
  method = "supported calibration method: `minmax` or `entropy`",
  mode = "supported mode: `chip` or `original`",
  runtime = "supported runtime: `v1`",
  chip = "currently only supports `esp32s3`, while received %s",
  target = "supported target: `esp32`, `esp32s2`, `esp32c3` or `esp32s3`",
  isa = "supported isa: `portable`, `avx2`, `avx512-vnni` or `auto`",
  role = "supported role: `calibrator`, `evaluator` or `table`",
  threads = "threads: an integer from 0 (all) to 1024 expected, got %s",
  input_exponent = "input_exponent: an integer from -64 to 64 or `measured` expected, got %s",
  log = "log: a function expected, got %s",
  outputs = "outputs: a list of names expected, got %s",
}

-- Options whose values are no short list; nil is always allowed.
local TESTS = {
  threads = function(x) return math.type(x) == "integer" and x >= 0 and x <= 1024 end,
  input_exponent = function(x) return x == "measured" or math.type(x) == "integer" and x >= -64 and x <= 64 end,
  log = function(x) return type(x) == "function" end,
  outputs = function(x) return type(x) == "table" and #x > 0 end,
}

--- Returns `value` if it is one of the option's documented values, and raises otherwise.
function M.check(option, value)
  local ok
  if VALUES[option] then ok = value ~= nil and VALUES[option][value]
  else ok = value == nil or TESTS[option](value) end
  if not ok then error(TEXTS[option]:format(tostring(value)), 0) end
  return value
end

--- int16 knows one granularity and one method; raises for others. `o.bits` is a width or its name.
function M.check_combination(o)
  if o.bits ~= 16 and o.bits ~= "int16" then return end
  if o.granularity == "per-channel" then error("int16 only supports per-tensor quantization", 0) end
  if o.method == "entropy" then error("int16 only supports minmax calibration method", 0) end
end

--- Raises for a list of execution providers that is none. There is one provider; others are refused when data is run.
function M.check_providers(providers)
  if type(providers) ~= "table" then error("set_providers: a list of names expected", 0) end
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
  for _, name in ipairs(list) do
    o[name] = given[name]
    if o[name] == nil then o[name] = DEFAULTS[name] end
    if TEXTS[name] then M.check(name, o[name]) end
  end
  M.check_combination(o)
  o.bits = BITS[o.bits]
  return o
end

return M
