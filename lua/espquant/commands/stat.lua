--- espquant stat: statistics of one part of the sample data, for calibration on many machines.

local Calibrator = require "espquant.calibrator"
local calibration_options = require "espquant.calibration_options"
local codec = require "espquant.codec.stat"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"

local M = { name = "stat", summary = "measure one part of the sample data; espquant merge makes the table of all parts" }

M.examples = {
  "espquant stat m.onnx -d images.npy --shard 1/4 -o part1.stat",
  "espquant stat m.onnx -d images.npy --method entropy --rounds",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file (optimize it first).")
  command.add_data(parser)
  command.add_shard(parser)
  parser:option "--ranges":argname "FILE":description(
    "Second round: what the first round's parts were merged to. Histograms (entropy, kl, mse) need it.")
  parser:flag "--rounds":description "Print how many rounds these options take, 1 or 2, and measure nothing."
  parser:option "-o --output":argname "PART.stat":description "Where to write the statistics."
  calibration_options.add(parser)
  command.add_json(parser)
end

--- The statistics in a file; raises.
local function read(path)
  return errors.check(codec.decode(errors.check(core.read_file(path)), path))
end

local function wrong_names(args)
  if args.rounds then return nil end
  if not args.shard then return "--shard I/N: which part of how many?" end
  if not args.output then return "--output PART.stat: where to?" end
  return command.overwrites(args.output, args.model, args.ranges, table.unpack(args.data))
end

function M.run(args, streams)
  local settings, conflict = calibration_options.settings(args, streams)
  local wrong = conflict or wrong_names(args)
  if wrong then return command.usage(streams, wrong) end
  local model, calib = command.model(args.model, args, streams), Calibrator(settings)
  if args.rounds then
    streams.stdout:write(calib:statistics_rounds(model), "\n")
    return true
  end
  local index, count = args.shard.index, args.shard.count
  local ranges = args.ranges and read(args.ranges)
  local stat = calib:collect_statistics(model, command.data(args, model, streams), index, count, ranges)
  errors.check(core.write_file(args.output, codec.encode(stat)))
  local images = #stat.parts[index] // 32
  if args.json then
    command.print_json(streams, {
      output = args.output, shard = index, shards = count, images = images, all_images = stat.images, model = stat.model,
      isa = stat.isa, tool = stat.tool, complete = stat.complete,
    })
  else
    streams.stdout:write(("%s: shard %d of %d, %d of %d images%s\n"):format(args.output, index, count, images,
      stat.images, stat.complete and "" or "; ranges only, the first of two rounds"))
  end
  return true
end

return M
