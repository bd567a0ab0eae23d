--- espquant calibrate: from a float model and sample data to a quantization table.

local Calibrator = require "espquant.calibrator"
local command = require "espquant.command"
local errors = require "espquant.errors"
local json = require "espquant.json"
local options = require "espquant.quant.options"

local M = { name = "calibrate", summary = "measure a model over sample data and write a quantization table" }

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

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file (optimize it first).")
  command.add_data(parser)
  parser:option "-o --output":argname "TABLE"
    :description("Where to write: .json, or for v1 the original toolkit's .pickle (default: MODEL_calib.pickle, v3: "
      .. "MODEL_calib.json).")
  command.add_runtime(parser, { target = true })
  command.add_quantization(parser, { method = true })
  parser:option "--input-exponent":count "*":argname "E":convert(input_exponent)
    :description "Exponent of the inputs: a number, or 'measured'; NAME=E for one input (default: -7, int16: -15)."
  parser:flag "--model-scales":description(
    "Take the scales that the model was trained with, as powers of two, where it has them (espquant info lists them).")
  command.add_observers(parser)
  command.add_threads(parser)
  command.add_json(parser)
end

-- A table of v3 is JSON, which the name decides.
local function wrong_name(settings, output)
  if settings.runtime == "v3" and not output:lower():match "%.json$" then
    return ("--output: a table of runtime v3 is JSON, '%s' does not end in .json"):format(output)
  end
end

function M.run(args, streams)
  local settings = command.settings(args)
  local ending = settings.runtime == "v3" and "_calib.json" or "_calib.pickle"
  local output = args.output or command.beside(args.model, ending)
  local exponents, mixed = input_exponents(args.input_exponent)
  local wrong = mixed or command.conflict(settings) or command.overwrites(output, args.model, table.unpack(args.data))
    or command.wrong_target(settings) or wrong_name(settings, output) or command.wrong_table_name(output)
  if wrong then return command.usage(streams, wrong) end
  settings.input_exponent = exponents
  settings.model_scales = args.model_scales
  settings.log = function(text) streams.stderr:write("espquant: ", text, "\n") end
  local model, calib = command.model(args.model, args, streams), Calibrator(settings)
  local t = calib:generate_quantization_table(model, command.data(args, model, streams), output)
  if args.json then
    command.print_json(streams, {
      output = output, images = calib.images, entries = #t.entries, bits = calib.bits, granularity = calib.granularity,
      method = calib.method, mode = calib.mode, target = t.facts.target, isa = t.facts.isa, model = t.facts.model,
      data = t.facts.data, tool = t.facts.tool, runtime = t.facts.runtime == "v3" and "v3" or nil,
      observer = t.facts.observer, weight_observer = t.facts.weight_observer,
      layers = t.facts.layers and json.object(t.facts.layers),
      warnings = json.array { table.unpack(t.warnings) },
    })
  else
    streams.stdout:write(t:summary(), "\n")
    streams.stdout:write(("%s: %d entries from %d images\n"):format(output, #t.entries, calib.images))
  end
  return true
end

return M
