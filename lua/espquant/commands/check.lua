--- espquant check: can this model be quantized? Every obstacle at once, and exit code 1.

local command = require "espquant.command"
local onnx = require "espquant.onnx"
local errors = require "espquant.errors"
local json = require "espquant.json"
local options = require "espquant.quant.options"
local quant = require "espquant.quant"
local v3_check = require "espquant.quant.v3.check"

local M = { name = "check", summary = "tell whether a model can be quantized, with all reasons if not" }

function M.configure(parser)
  command.add_model(parser)
  command.add_quantization(parser)
  command.add_runtime(parser, { target = true })
  command.add_json(parser)
end

local function list_of(items, fields)
  local list = json.array()
  for i, item in ipairs(items) do list[i] = fields(item) end
  return list
end

local function facts_of(args, ok, message, problems, notes)
  return {
    supported = ok, message = message, target = args.target,
    problems = list_of(problems, function(p)
      return {
        node = p.node, operator = p.op, output = p.output, shapes = p.shapes, cause = p.cause, remedy = p.remedy,
      }
    end),
    notes = list_of(notes, function(n) return { operator = n.op, nodes = n.nodes, message = n.message } end),
  }
end

-- The remedy on a line of its own below each cause.
local function print_text(streams, headline, problems, notes)
  streams.stdout:write(headline, "\n")
  for _, p in ipairs(problems) do
    local text = p.remedy and p.message:sub(1, -#p.remedy - 3) or p.message
    streams.stdout:write("  - ", text, "\n", p.remedy and ("      %s\n"):format(p.remedy) or "")
  end
  for _, note in ipairs(notes) do streams.stdout:write("  note: ", note.message, "\n") end
end

-- Calibration and simulation: the original accepts more in one than in the other.
local function check(model, mode, settings)
  if settings.runtime == "v3" then return v3_check(model, { bits = options.bits(settings.bits) }) end
  local ok, message, code, problems = quant.check(model, mode, "evaluator")
  if ok then ok, message, code, problems = quant.check(model, mode, "table") end
  return ok, message, code, problems
end

function M.run(args, streams)
  local settings = command.settings(args)
  local wrong = command.conflict(settings) or command.wrong_target(settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams, onnx.read)
  local mode = settings.mode or "chip"
  local ok, message, code, problems = check(model, mode, settings)
  if not ok and not problems then return nil, message, code end
  problems = problems or {}
  local notes = settings.runtime == "v3" and {} or quant.notes(model, mode)
  local headline = ok and ("can be quantized (%s)"):format(command.plural(#model, "node")) or message
  if args.json then command.print_json(streams, facts_of(args, ok or false, message, problems, notes))
  else print_text(streams, ("%s: %s"):format(args.model, headline), problems, notes) end
  if not ok and code ~= "unsupported" then return errors.exit_code(code) end
  return ok or false
end

return M
