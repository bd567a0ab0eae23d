--- espquant report: what several configurations make of a model, as a page to look at.

local accuracy = require "espquant.accuracy"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"
local options = require "espquant.quant.options"
local report = require "espquant.report"

local M = { name = "report", summary = "a page with accuracy, layers, histograms and memory of several configurations" }

-- What each runtime is tried with.
local USUAL = {
  v1 = { "int8:per-tensor:minmax", "int8:per-channel:entropy", "int16:per-tensor:minmax" },
  v3 = { "v3:int8", "v3:int16" },
}
local RUNTIMES = { "v1", "v3" }

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

local function usual_text()
  local list = {}
  for _, runtime in ipairs(RUNTIMES) do list[#list + 1] = table.concat(USUAL[runtime], ", ") end
  return table.concat(list, ", ")
end

M.examples = {
  "espquant report m.onnx -d images.npy -l labels.npy",
  "espquant report m.onnx -d images.npy -c int8:per-channel:entropy -c v3:int8:esp32p4 -o page.html",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file, as it will be calibrated.")
  command.add_data(parser)
  parser:option "-l --labels":argname "FILE"
    :description "The right classes, one number per image, from 0 (default: those in --data, or its sub-folders)."
  parser:option "-c --config":count "*":argname "A:B:C":convert(configuration)
    :description("What to calibrate with, as values of the options of calibrate, repeated for more (default: "
      .. usual_text() .. ").")
  command.add_runtime(parser, { target = true })
  parser:option "-o --output":argname "FILE":description "The page (default: MODEL_report.html)."
  command.add_accumulator(parser)
  command.add_threads(parser)
  command.add_json(parser)
end

-- Those of --config; else the usual ones, of the runtime that was asked for.
local function chosen(args)
  if #args.config > 0 then return args.config end
  local list = {}
  for _, runtime in ipairs(args.runtime and { args.runtime } or RUNTIMES) do
    for _, text in ipairs(USUAL[runtime]) do list[#list + 1] = assert(configuration(text)) end
  end
  return list
end

-- Each with the target and the accumulator that were asked for; or nil and what is wrong with that. Without --config, a
-- target leaves out the runtimes that do not have it.
local function configurations(args)
  if #args.config > 0 and args.runtime then return nil, "--runtime chooses usual configurations; --config has its own" end
  local list, wrong = {}, nil
  for _, config in ipairs(chosen(args)) do
    config.target, config.accumulator = config.target or args.target, args.accumulator
    local why = command.wrong_target(config) or command.conflict(config)
    if not why then list[#list + 1] = config end
    wrong = wrong or why
  end
  if wrong and (#args.config > 0 or #list == 0) then return nil, wrong end
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
    data_words = command.data_words(args),
    labels = accuracy.labels(data, args.labels), threads = args.threads,
    configs = configs,
  })
  if args.json then
    command.print_json(streams, facts)
    if not args.output then return true end
  end
  for _, config in ipairs(facts.configs) do
    local refused = config.refused
    if refused then streams.stderr:write(("espquant: %s left out: %s\n"):format(config.label, refused.message)) end
  end
  errors.check(core.write_file(output, report.page(facts)))
  if not args.json then streams.stdout:write(output, "\n") end
  return true
end

return M
