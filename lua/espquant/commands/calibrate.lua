--- espquant calibrate: from a float model and sample data to a quantization table.

local Calibrator = require "espquant.calibrator"
local command = require "espquant.command"
local json = require "espquant.json"

local M = { name = "calibrate", summary = "measure a model over sample data and write a quantization table" }

function M.configure(parser)
  parser:argument("model"):description "The .onnx file (optimize it first)."
  command.add_data(parser)
  parser:option "-o --output":argname "TABLE"
    :description "Where to write: .json, or the original toolkit's .pickle (default: MODEL_calib.pickle)."
  command.add_quantization(parser, { method = true })
  command.add_threads(parser)
  command.add_json(parser)
end

function M.run(args, streams)
  local settings = command.settings(args)
  local output = args.output or command.beside(args.model, "_calib.pickle")
  local wrong = command.conflict(settings) or command.overwrites(output, args.model, table.unpack(args.data))
  if wrong then return command.usage(streams, wrong) end
  settings.log = function(text) streams.stderr:write("espquant: ", text, "\n") end
  local model, calib = command.model(args.model, streams), Calibrator(settings)
  local t = calib:generate_quantization_table(model, command.data(args, model, streams), output)
  if args.json then
    command.print_json(streams, {
      output = output, images = calib.images, entries = #t.entries, bits = calib.bits, granularity = calib.granularity,
      method = calib.method, mode = calib.mode, target = t.facts.target, isa = t.facts.isa, model = t.facts.model,
      data = t.facts.data, tool = t.facts.tool, warnings = json.array { table.unpack(t.warnings) },
    })
  else
    streams.stdout:write(t:summary(), "\n")
    streams.stdout:write(("%s: %d entries from %d images\n"):format(output, #t.entries, calib.images))
  end
  return true
end

return M
