--- espquant check: can this model be quantized? Every reason that it cannot, and exit code 1.

local command = require "espquant.command"
local json = require "espquant.json"
local quant = require "espquant.quant"

local M = { name = "check", summary = "tell whether a model can be quantized, with all reasons if not" }

function M.configure(parser)
  parser:argument("model"):description "The .onnx file."
  command.add_quantization(parser)
  command.add_json(parser)
end

local function facts_of(ok, message, problems)
  local list = json.array()
  for i, p in ipairs(problems or {}) do
    list[i] = {
      node = p.node, operator = p.op, output = p.output, shapes = p.shapes, cause = p.cause, remedy = p.remedy,
    }
  end
  return { supported = ok, message = message, problems = list }
end

local function print_problems(streams, message, problems)
  streams.stdout:write(message, "\n")
  for _, p in ipairs(problems) do streams.stdout:write("  - ", p.message, "\n") end
end

function M.run(args, streams)
  local settings = command.settings(args)
  local wrong = command.conflict(settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, streams)
  local ok, message, _, problems = quant.check(model, settings.mode or "chip", "calibrator")
  ok = ok or false
  if args.json then
    command.print_json(streams, facts_of(ok, message, problems))
  elseif ok then
    streams.stdout:write(("%s: can be quantized (%s)\n"):format(args.model, command.plural(#model, "node")))
  else
    print_problems(streams, ("%s: %s"):format(args.model, message), problems or {})
  end
  return ok
end

return M
