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
  bits = { "int8", "int16" },
  granularity = { "per-tensor", "per-channel" },
  method = { "minmax", "entropy" },
  mode = { "chip", "original" },
  runtime = { "v1" },
  chip = { "esp32s3" },
  target = {},
  isa = { "portable", "avx2", "avx512-vnni", "auto" },
  role = { "calibrator", "evaluator", "table" }, -- of quant/check.lua
}
for _, t in ipairs(core.targets()) do
  if t.runtime == "v1" then table.insert(VALUES.target, t.chip) end
end

local DEFAULTS = {
  granularity = "per-tensor", method = "minmax", mode = "chip", runtime = "v1", chip = "esp32s3", target = "esp32s3",
  isa = "auto", role = "calibrator",
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

-- Options whose values are no short list; nil is always allowed.
local TESTS = {
  threads = function(x) return math.type(x) == "integer" and x >= 0 and x <= 1024 end,
  input_exponent = function(x) return is_exponent(x) or type(x) == "table" and is_by_input(x) end,
  model_scales = function(x) return type(x) == "boolean" end,
  log = function(x) return type(x) == "function" end,
  outputs = function(x) return type(x) == "table" and #x > 0 end,
}

local function is_one_of(values, value)
  for _, each in ipairs(values) do
    if each == value then return true end
  end
  return false
end

local function got(value)
  return type(value) == "string" and '"' .. value .. '"' or tostring(value)
end

-- Why the value is refused: what is allowed, and what was got.
local function refusal(option, value)
  if EXPECTED[option] then return ("%s: %s expected, got %s"):format(option, EXPECTED[option], got(value)) end
  local text = ORIGINAL[option] or ("supported %s: %s"):format(option, alternatives(VALUES[option]))
  if text:find("%s", 1, true) then return text:format(tostring(value)) end
  return ("%s, got %s"):format(text, got(value))
end

--- The values of an option, in the order of the documents.
function M.values(option)
  return { table.unpack(VALUES[option]) }
end

--- Returns `value` if it is one of the option's documented values, and raises otherwise.
function M.check(option, value)
  local ok
  if VALUES[option] then ok = is_one_of(VALUES[option], value)
  else ok = value == nil or TESTS[option](value) end
  if not ok then error(refusal(option, value), 0) end
  return value
end

--- int16 knows one granularity and one method; raises for others. `o.bits` is a width or its name.
function M.check_combination(o)
  if o.bits ~= 16 and o.bits ~= "int16" then return end
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
  for _, name in ipairs(list) do
    o[name] = given[name]
    if o[name] == nil then o[name] = DEFAULTS[name] end
    if VALUES[name] or TESTS[name] then M.check(name, o[name]) end
  end
  M.check_combination(o)
  o.bits = BITS[o.bits]
  return o
end

return M
