--- The options of a calibration on the command line: of `calibrate`, and of `stat`, which calibrates in parts.

local command = require "espquant.command"
local errors = require "espquant.errors"
local options = require "espquant.quant.options"

local M = {}

-- "-5", "measured", or either for one input: "NAME=-5".
local function input_exponent(text)
  local name, value = text:match "^(.+)=([^=]*)$"
  value = value or text
  local e = value == "measured" and value or math.tointeger(tonumber(value))
  if not e or not errors.pcall(options.check, "input_exponent", e) then
    return nil, ("'%s' is no exponent from -64 to 64, nor 'measured'"):format(value)
  end
  return { name = name, exponent = e }
end

-- The option of the Calibrator; nil and the reason where values do not go together.
local function input_exponents(list)
  if #list == 0 then return nil end
  if #list == 1 and not list[1].name then return list[1].exponent end
  local by_name = {}
  for _, given in ipairs(list) do
    if not given.name then return nil, "--input-exponent: one for all inputs, or NAME=E for each" end
    by_name[given.name] = given.exponent
  end
  return by_name
end

function M.add(parser)
  command.add_runtime(parser, { target = true })
  command.add_quantization(parser, { method = true })
  parser:option "--input-exponent":count "*":argname "E":convert(input_exponent)
    :description "Exponent of the inputs: a number, or 'measured'; NAME=E for one input (default: -7, int16: -15)."
  parser:flag "--model-scales":description(
    "Take the scales that the model was trained with, as powers of two, where it has them (espquant info lists them).")
  command.add_observers(parser)
  command.add_threads(parser)
end

--- The options of the Calibrator, and what is wrong with them, or nil. Warnings go to standard error.
function M.settings(args, streams)
  local settings = command.settings(args)
  local exponents, mixed = input_exponents(args.input_exponent)
  settings.input_exponent, settings.model_scales = exponents, args.model_scales
  settings.log = function(text) streams.stderr:write("espquant: ", text, "\n") end
  return settings, mixed or command.conflict(settings) or command.wrong_target(settings)
end

return M
