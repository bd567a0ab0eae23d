--- espquant merge: the statistics of parts of the data as those of all, and what follows from them.

local Calibrator = require "espquant.calibrator"
local codec = require "espquant.codec.stat"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"
local evaluation_text = require "espquant.evaluation_text"
local shard = require "espquant.calibration.shard"
local statistics = require "espquant.statistics"

local M = { name = "merge", summary = "put together what espquant stat measured of parts of the data: the table" }

M.examples = {
  "espquant merge part1.stat part2.stat -o m.json",
  "espquant merge part1.stat part3.stat --partial -o sum.stat",
}

function M.configure(parser)
  parser:argument("parts", "Files of espquant stat, in any order."):args "+"
  parser:option "-o --output":argname "FILE":description(
    "The table (.json, or for v1 .pickle); or statistics (.stat), of the first of two rounds, or with --partial. Not "
      .. "needed for parts of espquant evaluate: their result is printed.")
  parser:flag "--partial":description "Also where parts are missing: to merge by and by."
  evaluation_text.add_gates(parser)
  command.add_json(parser)
end

-- All files, read; raises with the problems of all that cannot be.
local function read_all(paths)
  local list, problems, code = {}, {}, nil
  for _, path in ipairs(paths) do
    local bytes, message, why = core.read_file(path)
    local stat
    if bytes then stat, message, why = codec.decode(bytes, path) end
    if stat then list[#list + 1] = stat
    else
      problems[#problems + 1] = message
      code = code or why
    end
  end
  if #problems == 1 then errors.raise(code, problems[1]) end
  if #problems > 1 then errors.raise(code, ("%d files cannot be read"):format(#problems), problems) end
  return list
end

local function refuse_missing(stat)
  local missing = statistics.missing(stat)
  for i, number in ipairs(missing) do missing[i] = ("shard %d of %d is missing"):format(number, stat.shards) end
  if #missing > 0 then
    errors.raise("format", "statistics are not of all data; --partial (to a .stat) merges what there is", missing)
  end
end

local function calibrator_of(stat, streams)
  local settings = { log = function(text) streams.stderr:write("espquant: ", text, "\n") end }
  for key, value in pairs(stat.options) do settings[key] = value end
  local ok, calib = errors.pcall(Calibrator, settings)
  if not ok then errors.raise("format", "the options in the statistics: " .. tostring(calib)) end
  return calib
end

local function model_of(stat)
  if not stat.encoded or core.sha256(stat.encoded) ~= stat.model then
    errors.raise("format", "the model in the statistics of shard 1 is missing or another one")
  end
  local model = errors.check(core.onnx_decode(stat.encoded))
  errors.check(model:infer_shapes())
  return model
end

local function write_table(stat, args, streams)
  local wrong = command.wrong_table_name(args.output)
  if wrong then return command.usage(streams, wrong) end
  local calib, session = calibrator_of(stat, streams), shard.session(stat)
  local t = calib:table_of_statistics(model_of(stat), stat)
  t.facts.isa = stat.isa
  for _, warning in ipairs(t.warnings) do calib.log("warning: " .. warning) end
  errors.check(t:save(args.output))
  if args.json then
    command.print_json(streams, { output = args.output, images = session.images, entries = #t.entries,
      model = t.facts.model, data = t.facts.data, isa = t.facts.isa, tool = t.facts.tool })
  else
    streams.stdout:write(t:summary(), "\n")
    streams.stdout:write(("%s: %d entries from %d images in %d parts\n"):format(args.output, #t.entries, session.images,
      stat.shards))
  end
  return true
end

-- What parts of espquant evaluate give together.
local function print_evaluation(stat, args, streams)
  if args.output then return command.usage(streams, "--output: the result of an evaluation is printed (--json)") end
  refuse_missing(stat)
  local sums, labels = stat.sums, stat.of.labels ~= ""
  if sums.images ~= stat.images then
    errors.raise("format", ("the parts counted %d images, expected %d"):format(sums.images, stat.images))
  end
  if args.min_accuracy and not labels then return command.usage(streams, "--min-accuracy: the parts have no labels") end
  local facts = evaluation_text.facts(sums, stat.options, stat.isa, labels)
  facts.model, facts.table, facts.data = stat.model, stat.of.table, statistics.data_hash(stat)
  if args.json then command.print_json(streams, facts) else evaluation_text.print(streams, facts) end
  return evaluation_text.reached(args, facts, streams)
end

local function write_statistics(stat, args, streams)
  local missing = statistics.missing(stat)
  if not args.partial then refuse_missing(stat) end
  errors.check(core.write_file(args.output, codec.encode(stat)))
  if args.json then
    command.print_json(streams, { output = args.output, shards = stat.shards, missing = #missing })
  else
    streams.stdout:write(("%s: %d of %d shards\n"):format(args.output, stat.shards - #missing, stat.shards))
  end
  return true
end

function M.run(args, streams)
  local wrong = args.output and command.overwrites(args.output, table.unpack(args.parts))
  local is_statistics = args.output and args.output:lower():match "%.stat$"
  if args.partial and not is_statistics then
    wrong = "--partial: the output is statistics, --output's name ends in .stat"
  end
  if wrong then return command.usage(streams, wrong) end
  local stat = errors.check(statistics.merge(read_all(args.parts)))
  if is_statistics then return write_statistics(stat, args, streams) end
  if stat.kind == "evaluation" then return print_evaluation(stat, args, streams) end
  if args.min_accuracy or args.min_agreement then
    return command.usage(streams, "--min-accuracy and --min-agreement are for parts of espquant evaluate")
  end
  if not args.output then return command.usage(streams, "--output TABLE: where to?") end
  return write_table(stat, args, streams)
end

return M
