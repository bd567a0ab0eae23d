--- espquant codegen: a program around a quantized model, with a test: for ESP-DL v1 of every layer, for v3 the one
--- inside of the .espdl file.

local command = require "espquant.command"
local errors = require "espquant.errors"

local M = { name = "codegen", summary = "write a program that runs a quantized model on a chip and tests it" }

M.examples = {
  "espquant codegen m.onnx -t m.json -o project",
  "espquant codegen m.onnx -t m.json -d images.npy -o project",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file that was calibrated.")
  parser:option "-t --table":count "1":argname "TABLE":description "The quantization table, .pickle or .json."
  command.add_runtime(parser, { target = true })
  parser:option "-o --output":argname "FOLDER":default ".":description "A folder that exists."
  parser:option "--name":argname "NAME"
    :description "What the names of files and of the class begin with (default: the model's file)."
  command.add_choice(parser, "--storage", { "rodata", "partition" })
    :description "v3: the model is part of the program, or in a partition of its own (default: rodata)."
  command.add_data(parser, "Data whose first image is that of the test (v1 has one of its own).")
  command.add_quantization(parser)
end

-- The first image as a batch, by input; nil where no data are given.
local function first_image(args, model, streams)
  if #args.data == 0 then return nil end
  local batch = command.data(args, model, streams):batches()()
  if not batch then errors.raise("format", "the data hold no image") end
  return type(batch) == "table" and batch or { batch }
end

local function name_of(args)
  return args.name or args.model:match "([^/]*)$":gsub("%.[oO][nN][nN][xX]$", "")
end

local function write_v1(args, streams, model, t, settings)
  local images = first_image(args, model, streams)
  errors.check(require "espquant.export.codegen".write(model, t, {
    bits = settings.bits == "int16" and 16 or 8, granularity = settings.granularity, target = args.target or "esp32s3",
    path = args.output, name = name_of(args), images = images and images[1],
    log = function(text) streams.stdout:write(text, "\n") end,
  }))
end

local function write_v3(args, streams, model, t, settings)
  local images, by_name = first_image(args, model, streams), {}
  for i, input in ipairs(model.inputs) do by_name[input.name] = images[i]:slice(1, 1) end
  errors.check(require "espquant.export.espdl_project".write(model, t, {
    target = settings.target, bits = settings.bits == "int16" and 16 or 8, path = args.output,
    name = name_of(args):gsub("[^%w_-]", "_"), storage = args.storage or "rodata", test_input = by_name,
  }))
  streams.stdout:write(args.output, "\n")
end

local function wrong_options(args, settings)
  if settings.mode == "original" then return "codegen writes what the chip computes: calibrate with --mode chip" end
  if settings.runtime ~= "v3" then return args.storage and "--storage is of runtime v3" or nil end
  if #args.data == 0 then return "--data is missing: its first image is the test of the program" end
end

function M.run(args, streams)
  local t = command.table(args.table)
  local settings = command.settings(args, t)
  local wrong = command.conflict(settings) or command.wrong_target(settings) or wrong_options(args, settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  command.note_other_model(args.table, t, model, streams)
  local write = settings.runtime == "v3" and write_v3 or write_v1
  write(args, streams, model, t, settings)
  return true
end

return M
