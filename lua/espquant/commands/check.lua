--- espquant check: can this model be quantized? Every obstacle at once, and exit code 1.

local command = require "espquant.command"
local onnx = require "espquant.onnx"
local errors = require "espquant.errors"
local json = require "espquant.json"
local options = require "espquant.quant.options"
local quant = require "espquant.quant"
local v3 = require "espquant.quant.v3"

local M = { name = "check", summary = "tell whether a model can be quantized, with all reasons if not" }

M.examples = {
  "espquant check m.onnx",
  "espquant check m.onnx --runtime v3 --target esp32p4",
}

function M.configure(parser)
  command.add_model(parser)
  command.add_runtime(parser, { target = true })
  command.add_quantization(parser)
  command.add_json(parser)
end

local function list_of(items, fields)
  local list = json.array()
  for i, item in ipairs(items) do list[i] = fields(item) end
  return list
end

local function facts_of(args, ok, message, problems, notes, lanes, next_line)
  return {
    supported = ok, message = message, runtime = args.runtime, target = args.target, next = next_line,
    problems = list_of(problems, function(p)
      return {
        node = p.node, operator = p.op, output = p.output, shapes = p.shapes, cause = p.cause, remedy = p.remedy,
      }
    end),
    notes = list_of(notes, function(n) return { operator = n.op, nodes = n.nodes, message = n.message } end),
    saturating_layers = json.array(lanes),
  }
end

-- The remedy on a line of its own below each cause, and layers below a note.
local function print_text(streams, headline, problems, notes, lanes)
  streams.stdout:write(headline, "\n")
  for _, p in ipairs(problems) do
    local text = p.remedy and p.message:sub(1, -#p.remedy - 3) or p.message
    streams.stdout:write("  - ", text, "\n", p.remedy and ("      %s\n"):format(p.remedy) or "")
  end
  for _, note in ipairs(notes) do streams.stdout:write("  note: ", note.message, "\n") end
  if lanes then streams.stdout:write("  note: ", (lanes:gsub("\n", "\n      ")), "\n") end
end

local function is_s3(settings) return (settings.target or "esp32s3") == "esp32s3" end

-- How each runtime checks a model: true, or nil, message, code, problems; notes; and layers for lanes.text.
local CHECKS = {}

-- Calibration and simulation: the original accepts more in one than in the other.
function CHECKS.v1(model, settings)
  local mode = settings.mode or "chip"
  local ok, message, code, problems = quant.check(model, mode, "evaluator")
  if ok then ok, message, code, problems = quant.check(model, mode, "table") end
  local lanes = ok and mode == "chip" and is_s3(settings)
    and quant.lanes.foreseen(model, { bits = options.bits(settings.bits), granularity = settings.granularity })
  return ok, message, code, problems, quant.notes(model, mode), lanes or {}
end

function CHECKS.v3(model, settings)
  local bits = options.bits(settings.bits)
  local ok, message, code, problems = v3.check(model, { bits = bits })
  local lanes = ok and is_s3(settings) and errors.check(v3.lanes(model, { bits = bits, chip = "esp32s3" }))
  return ok, message, code, problems, {}, lanes or {}
end

-- A word as a shell reads it back.
local function quoted(word)
  return word:match "^[%w%._/+:=-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

-- What to type next: the calibration where the model can be quantized, else what may make it so.
local function next_line(args, ok)
  local words = { "espquant", ok and "calibrate" or "optimize", quoted(args.model) }
  if ok then
    words[#words + 1] = "--data IMAGES.npy"
    for _, option in ipairs { "runtime", "target", "bits", "granularity", "mode" } do
      if args[option] then words[#words + 1] = ("--%s %s"):format(option, args[option]) end
    end
  end
  return table.concat(words, " ")
end

function M.run(args, streams)
  local settings = command.settings(args)
  local wrong = command.conflict(settings) or command.wrong_target(settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams, onnx.read)
  local ok, message, code, problems, notes, lanes = CHECKS[settings.runtime or "v1"](model, settings)
  if not ok and not problems then return nil, message, code end
  problems = problems or {}
  local headline = ok and ("can be quantized (%s)"):format(command.plural(#model, "node")) or message
  local line = next_line(args, ok)
  if args.json then command.print_json(streams, facts_of(args, ok or false, message, problems, notes, lanes, line))
  else
    print_text(streams, ("%s: %s"):format(args.model, headline), problems, notes, quant.lanes.text(lanes))
    streams.stdout:write("next: ", line, "\n")
  end
  if not ok and code ~= "unsupported" then return errors.exit_code(code) end
  return ok or false
end

return M
