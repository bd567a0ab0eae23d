--- espquant codegen: a program for ESP-DL v1 of a quantized model, with a test of every layer.

local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"

local M = { name = "codegen", summary = "write a model as a program for ESP-DL v1, with a test of every layer" }

function M.configure(parser)
  local chips = {}
  for i, target in ipairs(core.targets()) do chips[i] = target.chip end
  command.add_model(parser, "model", "The .onnx file that was calibrated.")
  parser:option "-t --table":count "1":argname "TABLE":description "The quantization table, .pickle or .json."
  parser:option "--target":choices(chips):default "esp32s3":description "The chip."
  parser:option "-o --output":argname "FOLDER":default ".":description "A folder that exists."
  parser:option "--name":argname "NAME"
    :description "What the names of files and of the class begin with (default: the model's file)."
  command.add_data(parser)
  command.add_quantization(parser)
end

-- The image of the test, or nil where no data are given.
local function first_image(args, model)
  if not args.data then return nil end
  local batch = command.data(args, model):batches()()
  if not batch then errors.raise("format", "the data hold no image") end
  return type(batch) == "table" and batch[1] or batch
end

function M.run(args, streams)
  local t = command.table(args.table)
  local settings = command.settings(args, t)
  local wrong = command.conflict(settings)
  if wrong then return command.usage(streams, wrong) end
  if settings.mode == "original" then
    return command.usage(streams, "codegen writes what the chip computes: calibrate with --mode chip")
  end
  local model = command.model(args.model, args, streams)
  command.note_other_model(args.table, t, model, streams)
  errors.check(require "espquant.export.codegen".write(model, t, {
    bits = settings.bits == "int16" and 16 or 8, granularity = settings.granularity, target = args.target,
    path = args.output, name = args.name or args.model:match "([^/]*)$":gsub("%.[oO][nN][nN][xX]$", ""),
    images = first_image(args, model), log = function(text) streams.stdout:write(text, "\n") end,
  }))
  return true
end

return M
