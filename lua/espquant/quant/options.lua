--- The options that Calibrator and Evaluator share: documented values, positional or by name, and their refusals.
---
---     options.parse({ "int8", "per-channel", "entropy" }, { "bits", "granularity", "method" })
---     options.parse({ { bits = "int8", mode = "original" } }, ...)

local M = {}

local BITS = { int8 = 8, int16 = 16, [8] = 8, [16] = 16 }
local VALUES = {
  granularity = { ["per-tensor"] = true, ["per-channel"] = true },
  method = { minmax = true, entropy = true },
  mode = { chip = true, original = true },
  runtime = { v1 = true },
  chip = { esp32s3 = true },
  target = { esp32 = true, esp32s2 = true, esp32c3 = true, esp32s3 = true },
}
local DEFAULTS = {
  granularity = "per-tensor", method = "minmax", mode = "chip", runtime = "v1", chip = "esp32s3", target = "esp32s3",
}
local TEXTS = {
  bits = "supported quantization bit: 8 or 16",
  granularity = "supported granularity: `per-tensor` or `per-channel`",
  method = "supported calibration method: `minmax` or `entropy`",
  mode = "supported mode: `chip` or `original`",
  runtime = "supported runtime: `v1`",
  chip = "currently only supports `esp32s3`, while received %s",
  target = "supported target: `esp32`, `esp32s2`, `esp32c3` or `esp32s3`",
}

--- Raises with the original's text unless `value` is one of the option's documented values.
function M.check(option, value)
  local ok = option == "bits" and BITS[value] or VALUES[option] and VALUES[option][value]
  if not ok then error(TEXTS[option]:format(tostring(value)), 0) end
  return value
end

--- int16 knows one granularity and one method.
function M.check_combination(o)
  if BITS[o.bits] ~= 16 then return end
  if o.granularity == "per-channel" then error("int16 only supports per-tensor quantization", 0) end
  if o.method == "entropy" then error("int16 only supports minmax calibration method", 0) end
end

--- Arguments of a constructor as a table of options: by position in the order of `names`, or one table by name whose
--- keys may also be those of `more`. Unknown keys and values raise.
function M.parse(arguments, names, more)
  local given, o, allowed = {}, {}, {}
  for _, name in ipairs(names) do allowed[name] = true end
  for _, name in ipairs(more) do allowed[name] = true end
  if type(arguments[1]) == "table" then
    given = arguments[1]
    for key in pairs(given) do
      if not allowed[key] then error(("unknown option '%s'"):format(tostring(key)), 0) end
    end
  else
    for i, name in ipairs(names) do given[name] = arguments[i] end
  end
  for name in pairs(allowed) do
    o[name] = given[name]
    if o[name] == nil then o[name] = DEFAULTS[name] end
    if TEXTS[name] then M.check(name, o[name]) end
  end
  M.check_combination(o)
  o.bits = BITS[o.bits]
  return o
end

return M
