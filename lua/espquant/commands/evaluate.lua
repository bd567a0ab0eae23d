--- espquant evaluate: the integer model beside the float model, on data and labels.

local Evaluator = require "espquant.evaluator"
local accuracy = require "espquant.accuracy"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"
local json = require "espquant.json"
local version = require "espquant.version"

local M = { name = "evaluate", summary = "accuracy of the integer model and its agreement with the float model" }

local function percentage(text)
  local value = tonumber((text:gsub("%%$", "")))
  if not value or value < 0 or value > 100 then return nil, ("'%s' is no percentage"):format(text) end
  return value
end

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file that was calibrated.")
  parser:option "-t --table":count "1":argname "TABLE":description "The quantization table, .pickle or .json."
  command.add_data(parser)
  parser:option "-l --labels":argname "FILE"
    :description "The right classes, one number per image, from 0 (default: those in --data, or its sub-folders)."
  parser:option "--min-accuracy":argname "PERCENT":convert(percentage)
    :description "Exit with 1 when the integer model's accuracy is lower."
  parser:option "--min-agreement":argname "PERCENT":convert(percentage)
    :description "Exit with 1 when fewer images get the float model's class."
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

local function facts_of(sums, eva, labels)
  local n = sums.images
  return {
    images = n, runtime = eva.runtime, chip = eva.chip, bits = eva.bits, granularity = eva.granularity, mode = eva.mode,
    isa = core.isa(), accumulator = eva.accumulator,
    tool = "espquant " .. version,
    accuracy = labels and sums.right / n, float_accuracy = labels and sums.float_right / n, agreement = sums.equal / n,
    images_per_second = n / sums.seconds, float_images_per_second = n / sums.float_seconds,
  }
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

local function percent(x)
  return x and ("%.2f %%"):format(100 * x) or "-"
end

local function print_facts(streams, f)
  command.print_columns(streams, {
    { "model", "accuracy", "agreement", "images/s" },
    { "float", percent(f.float_accuracy), "", command.thousands(f.float_images_per_second // 1) },
    { ("int%d %s"):format(f.bits, f.granularity or "v3 " .. f.chip), percent(f.accuracy), percent(f.agreement),
      command.thousands(f.images_per_second // 1) },
  }, { false, true, true, true })
end

local function print_classes(streams, classes)
  local rows = { { "class", "images", "float", "integer" } }
  for i, c in ipairs(classes) do
    rows[i + 1] = { c.name, command.thousands(c.images), percent(c.float_right / c.images),
      percent(c.right / c.images) }
  end
  command.print_columns(streams, rows, { false, true, true, true })
end

local function print_all(args, streams, facts, report)
  if args.json then return command.print_json(streams, facts) end
  print_facts(streams, facts)
  if facts.classes then print_classes(streams, facts.classes) end
  if report then streams.stdout:write("\n", tostring(report), "\n") end
end

-- A number as it was typed: 99 and not 99.0, 99.5.
local function plain(x)
  return ("%.10g"):format(x)
end

-- Says which thresholds were missed, with what was reached; true if none was. Rounds towards what is missing.
local function reached(args, facts, streams)
  local ok = true
  for _, what in ipairs { "accuracy", "agreement" } do
    local wanted, got = args["min_" .. what], facts[what]
    if wanted and got * 100 < wanted then
      ok = false
      streams.stderr:write(("espquant: %s: %s %% reached (%d of %d images), at least %s %% asked for (--min-%s)\n")
        :format(what, plain(math.floor(got * 1e6) / 1e4), math.floor(got * facts.images + 0.5), facts.images,
          plain(wanted), what))
    end
  end
  return ok
end

function M.run(args, streams)
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
  local sums = accuracy.compare(data, float, eva, labels, by_class, args.json)
  local facts = facts_of(sums, eva, labels)
  facts.classes = by_class
  if args.json then
    facts.model, facts.data = command.model_hash(model), sums.data
    facts.table = core.sha256(errors.check(core.read_file(args.table)))
  end
  local report = args.layers and eva:layer_report(data)
  facts.layers = args.json and report and layer_facts(report) or nil
  print_all(args, streams, facts, report)
  return reached(args, facts, streams)
end

return M
