--- espquant report: what several configurations make of a model, as a page to look at.

local accuracy = require "espquant.accuracy"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"
local options = require "espquant.quant.options"
local report = require "espquant.report"

local M = { name = "report", summary = "a page with accuracy, layers, histograms and memory of several configurations" }

local USUAL = { "int8:per-tensor:minmax", "int8:per-channel:entropy", "int16:per-tensor:minmax" }

-- Which option a word of a configuration is a value of.
local KINDS = {
  v1 = { "runtime", "bits", "granularity", "method", "target" },
  v3 = { "runtime", "bits", "target", "observer" },
}

local function kind_of(word, runtime)
  for _, kind in ipairs(KINDS[runtime]) do
    for _, value in ipairs(options.values(kind, runtime)) do
      if value == word then return kind end
    end
  end
end

-- "int8:per-channel:entropy" as the options of a Calibrator.
local function configuration(text)
  local config, runtime = {}, (":" .. text .. ":"):find(":v3:", 1, true) and "v3" or "v1"
  for word in text:gmatch "[^:]+" do
    local kind = kind_of(word, runtime)
    if not kind then return nil, ("--config %s: '%s' is the value of no option"):format(text, word) end
    if config[kind] then return nil, ("--config %s: two values for %s"):format(text, kind) end
    config[kind] = word
  end
  config.bits = config.bits or "int8"
  local wrong = command.conflict(config)
  if wrong then return nil, ("--config %s: %s"):format(text, wrong) end
  return config
end

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file, as it will be calibrated.")
  command.add_data(parser)
  parser:option "-l --labels":argname "FILE"
    :description "The right classes, one number per image, from 0 (default: those in --data, or its sub-folders)."
  parser:option "-c --config":count "*":argname "A:B:C":convert(configuration)
    :description("What to calibrate with, as values of the options of calibrate, repeated for more (default: "
      .. table.concat(USUAL, ", ") .. ").")
  parser:option "-o --output":argname "FILE":description "The page (default: MODEL_report.html)."
  command.add_accumulator(parser)
  command.add_threads(parser)
  command.add_json(parser)
end

local function usual()
  local list = {}
  for i, text in ipairs(USUAL) do list[i] = assert(configuration(text)) end
  return list
end

-- Each with the accumulator that was asked for; or nil and what is wrong with that.
local function configurations(args)
  local list = #args.config > 0 and args.config or usual()
  for _, config in ipairs(list) do
    config.accumulator = args.accumulator
    local wrong = command.conflict(config)
    if wrong then return nil, wrong end
  end
  return list
end

function M.run(args, streams)
  local configs, refusal = configurations(args)
  if not configs then return command.usage(streams, refusal) end
  local model = command.model(args.model, args, streams)
  local data = command.data(args, model, streams)
  local output = args.output or command.beside(args.model, "_report.html")
  local wrong = command.overwrites(output, args.model, table.unpack(args.data))
  if wrong then return command.usage(streams, wrong) end
  local facts = report.collect(model, data, {
    name = args.model:match "[^/]*$", path = args.model, data_path = table.concat(args.data, " "),
    labels = accuracy.labels(data, args.labels), threads = args.threads,
    configs = configs,
  })
  if args.json then
    command.print_json(streams, facts)
    if not args.output then return true end
  end
  errors.check(core.write_file(output, report.page(facts)))
  if not args.json then streams.stdout:write(output, "\n") end
  return true
end

return M
