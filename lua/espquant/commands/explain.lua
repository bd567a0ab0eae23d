--- espquant explain: where the error of a layer comes from.

local cause = require "espquant.report.cause"
local command = require "espquant.command"
local diagnosis = require "espquant.diagnosis"
local json = require "espquant.json"
local shell = require "espquant.shell"

local M = { name = "explain", summary = "where the error of a layer comes from, and what to try next" }

M.examples = {
  "espquant explain m.onnx --layer conv1 -d calib.npy",
  "espquant explain m.onnx --layer conv1 -d calib.npy --runtime v3 --target esp32p4 --json",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file, as it is calibrated.")
  parser:option "--layer":count "1":argname "NAME":description "The name of a node, or of the tensor that it makes."
  command.add_data(parser)
  command.add_runtime(parser, { target = true })
  command.add_quantization(parser, { method = true })
  command.add_observers(parser)
  command.add_threads(parser)
  command.add_json(parser)
end

-- What to try for each source: a command.
local REMEDIES = {}

function REMEDIES.weights(facts, config, how)
  if config.bits == "int16" then return cause.widen(facts.node, config, how) end
  if config.runtime ~= "v3" and config.granularity == "per-tensor" then
    return cause.command("espquant calibrate", cause.with(config, { granularity = "per-channel" }), how)
  end
  return cause.command("espquant optimize --equalize", config, how)
end

local function wider_range(facts, config, how)
  if config.runtime == "v3" and config.observer ~= "minmax" then
    return cause.command("espquant calibrate", cause.with(config, { observer = "minmax" }), how)
  elseif config.method == "entropy" then
    return cause.command("espquant calibrate", cause.with(config, { method = "minmax" }), how)
  end
  return cause.widen(facts.node, config, how)
end

REMEDIES["input range"] = function(facts, config, how)
  if facts.reads_model_input and config.runtime ~= "v3" then
    return cause.command("espquant calibrate", config, how) .. " --input-exponent measured"
  end
  return wider_range(facts, config, how)
end
REMEDIES["output saturation"] = wider_range
REMEDIES["input rounding"] = function(facts, config, how) return cause.widen(facts.node, config, how) end
REMEDIES["output rounding"] = REMEDIES["input rounding"]

function REMEDIES.accumulation(_, config, how)
  return cause.command("espquant optimize --bias-correct", config, how)
end

function REMEDIES.inherited(facts, config, how)
  if not facts.from then return REMEDIES["input range"](facts, config, how) end
  return cause.command("espquant explain", config, how) .. " --layer " .. shell.quoted(facts.from)
end

local function decibels(x) return x == json.null and "no noise" or ("%.1f"):format(x) end

local function print_facts(streams, facts)
  streams.stdout:write(("%s (%s), '%s', int%d with exponent %s: %s dB\n\n"):format(facts.layer, facts.op, facts.output,
    facts.bits, facts.exponent, decibels(facts.snr)))
  local rows = { { "source", "SNR dB", "" } }
  for _, source in ipairs(facts.sources) do
    rows[#rows + 1] = { source.name, decibels(source.snr), source.text }
  end
  command.print_columns(streams, rows, { false, true, false })
  if #facts.channels > 0 then
    rows = { { "channel", "SNR dB", "of the noise", "from", "to", "cut off", "largest weight" } }
    for _, c in ipairs(facts.channels) do
      rows[#rows + 1] = { ("%d"):format(c.channel), decibels(c.snr), ("%.1f %%"):format(100 * c.share),
        ("%.3g"):format(c.min), ("%.3g"):format(c.max), ("%.2f %%"):format(100 * c.clipped),
        c.weight == json.null and "-" or ("%.3g"):format(c.weight) }
    end
    streams.stdout:write "\n"
    command.print_columns(streams, rows, { true, true, true, true, true, true, true })
  end
  if facts.main then streams.stdout:write(("\nmost of it: %s; try\n  %s\n"):format(facts.main, facts.command)) end
end

function M.run(args, streams)
  local settings = command.settings(args)
  local wrong = command.conflict(settings) or command.wrong_target(settings)
    or args.mode == "original" and "--mode: explain computes what the chip does" or nil
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  local facts = diagnosis.of(model, command.data(args, model, streams), args.layer, settings)
  if facts.main then
    facts.node = model:node(facts.layer)
    facts.command = REMEDIES[facts.main](facts, settings, { path = args.model, data_words = command.data_words(args) })
    facts.node = nil
  end
  if args.json then command.print_json(streams, facts) else print_facts(streams, facts) end
  return true
end

return M
