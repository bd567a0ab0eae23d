--- espquant evaluate: the integer model beside the float model, on data and labels.

local Evaluator = require "espquant.evaluator"
local accuracy = require "espquant.accuracy"
local codec = require "espquant.codec.stat"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"
local evaluation_text = require "espquant.evaluation_text"
local json = require "espquant.json"
local parts = require "espquant.dataset.part"
local version = require "espquant.version"

local M = { name = "evaluate", summary = "accuracy of the integer model and its agreement with the float model" }

M.examples = {
  "espquant evaluate m.onnx -t m.json -d test.npy -l labels.npy",
  "espquant evaluate m.onnx -t m.json -d test.npy -l labels.npy --min-accuracy 97 --layers",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file that was calibrated.")
  parser:option "-t --table":count "1":argname "TABLE":description "The quantization table, .pickle or .json."
  command.add_data(parser)
  parser:option "-l --labels":argname "FILE"
    :description "The right classes, one number per image, from 0 (default: those in --data, or its sub-folders)."
  evaluation_text.add_gates(parser)
  command.add_shard(parser)
  parser:option "-o --output":argname "PART.stat":description "With --shard: where to write what espquant merge reads."
  parser:flag "--layers":description "Also how far every layer is from float: its signal-to-noise ratio and more."
  command.add_simulation(parser)
  command.add_threads(parser)
  command.add_json(parser)
end

-- Folders that can hardly be the model's classes are worth a word.
local function note_classes(streams, classes, model)
  local output = model.outputs[1]
  local n = output.shape and output.shape[#output.shape]
  if math.type(n) == "integer" and n ~= #classes then
    streams.stderr:write(("espquant: note: %d folders of classes, but '%s' has %d numbers; the first folder counts as "
      .. "class 0\n"):format(#classes, output.name, n))
  end
end

-- The rows of a layer report as JSON has them; a ratio without noise (or without signal) is infinite: null.
local function layer_facts(report)
  local list = {}
  for i, row in ipairs(report) do
    local finite = math.abs(row.snr) < math.huge
    list[i] = {
      layer = row.layer, op = row.op, output = row.output, exponent = row.exponent or json.null,
      snr_db = finite and row.snr or json.null, saturated = row.saturated, max_error = row.max_error,
    }
  end
  return json.array(list)
end

local function print_all(args, streams, facts, report)
  if args.json then return command.print_json(streams, facts) end
  evaluation_text.print(streams, facts)
  if report then streams.stdout:write("\n", tostring(report), "\n") end
end

local GATES = { "min_accuracy", "min_agreement", "layers" }

local function wrong_shard(args)
  if not args.shard then return args.output and "--output is for --shard: results go to standard output" end
  if not args.output then return "--output PART.stat: where to?" end
  for _, name in ipairs(GATES) do
    if args[name] then return ("--%s is for all data, not for --shard; espquant merge has it"):format((name:gsub("_",
      "-"))) end
  end
  return command.overwrites(args.output, args.model, args.table, args.labels, table.unpack(args.data))
end

-- Writes what espquant merge reads.
local function write_part(args, sums, eva, model, streams)
  local index, count = args.shard.index, args.shard.count
  local stat = {
    kind = "evaluation", tool = "espquant " .. version, isa = core.isa(), model = command.model_hash(model),
    options = evaluation_text.options(eva), images = sums.all, shards = count, complete = true, states = {},
    parts = { [index] = sums.hashes },
    of = { table = core.sha256(errors.check(core.read_file(args.table))), labels = sums.labels },
    sums = evaluation_text.sums(sums),
  }
  errors.check(core.write_file(args.output, codec.encode(stat)))
  streams.stdout:write(("%s: shard %d of %d, %d of %d images\n"):format(args.output, index, count, sums.images, sums.all))
  return true
end

function M.run(args, streams)
  local wrong = wrong_shard(args)
  if wrong then return command.usage(streams, wrong) end
  local t = command.table(args.table)
  local ok, eva = errors.pcall(Evaluator, command.simulation(args, t))
  if not ok then return command.usage(streams, eva) end
  local model = command.model(args.model, args, streams)
  command.note_other_model(args.table, t, model, streams)
  local data = command.data(args, model, streams)
  local labels, by_class = accuracy.labels(data, args.labels), not args.labels and accuracy.classes(data) or nil
  if args.min_accuracy and not labels then
    return command.usage(streams, "--min-accuracy needs --labels, or data that has labels")
  end
  if by_class then note_classes(streams, by_class, model) end
  eva:generate_quantized_model(model, t)
  local float = errors.check(core.executor(model, { threads = args.threads }))
  local part = args.shard and parts.of(data, args.shard.index, args.shard.count)
  local sums = accuracy.compare(part or data, float, eva, labels, by_class, part or args.json)
  sums.classes, sums.labels, sums.all = by_class, labels and core.sha256(labels:tobytes()) or "", part and part.total
  if part then return write_part(args, sums, eva, model, streams) end
  local facts = evaluation_text.facts(sums, eva, core.isa(), labels)
  facts.classes = by_class
  if args.json then
    facts.model, facts.data = command.model_hash(model), sums.data
    facts.table = core.sha256(errors.check(core.read_file(args.table)))
  end
  local report = args.layers and eva:layer_report(data)
  facts.layers = args.json and report and layer_facts(report) or nil
  print_all(args, streams, facts, report)
  return evaluation_text.reached(args, facts, streams)
end

return M
