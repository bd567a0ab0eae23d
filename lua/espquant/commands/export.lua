--- espquant export: the integer coefficients of a model as C++ for a chip.

local command = require "espquant.command"
local errors = require "espquant.errors"
local options = require "espquant.quant.options"

local M = { name = "export", summary = "write the coefficients of a quantized model as C++" }

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file that was calibrated.")
  parser:option "-t --table":count "1":argname "TABLE":description "The quantization table, .pickle or .json."
  command.add_choice(parser, "--target", options.values "target"):default "esp32s3":description "The chip."
  parser:option "-o --output":argname "FOLDER":default ".":description "A folder that exists."
  parser:option "--name":argname "NAME":default "coefficient":description "Of both files, and of the namespace."
  parser:flag "--info":description "Also print the exponents of every layer."
  command.add_quantization(parser)
end

function M.run(args, streams)
  local t = command.table(args.table)
  local settings = command.settings(args, t)
  local wrong = command.conflict(settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  command.note_other_model(args.table, t, model, streams)
  local exporter = require "espquant.export.cpp"
  errors.check(exporter.write(model, t, {
    bits = settings.bits == "int16" and 16 or 8, granularity = settings.granularity, mode = settings.mode or "chip",
    target = args.target, path = args.output, name = args.name, print_model_info = args.info,
    log = function(text) streams.stdout:write(text, "\n") end,
  }))
  return true
end

return M
