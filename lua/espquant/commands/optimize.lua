--- espquant optimize: a float model made simpler, with the same results.

local command = require "espquant.command"
local errors = require "espquant.errors"
local json = require "espquant.json"
local onnx = require "espquant.onnx"
local optimizer = require "espquant.optimizer"

local M = { name = "optimize", summary = "fold and remove nodes of a float model" }

-- The list of names in "a,b", checked.
local function pass_list(text)
  local known, on_request = optimizer.get_available_passes()
  table.move(on_request, 1, #on_request, #known + 1, known)
  local list, message = command.name_list(text, "pass", known)
  return list, message and message .. " (--list-passes names all)"
end

function M.configure(parser)
  command.add_model(parser):args "?"
  parser:option "-o --output":argname "FILE":description "Where to write (default: MODEL_optimized.onnx)."
  parser:option "--passes":argname "A,B":convert(pass_list)
    :description "Only these passes, in this order (default: those of the original toolkit's optimize_fp_model)."
  parser:option "--also":argname "A,B":convert(pass_list)
    :description "Run these before the passes above, for instance cut_final_softmax,split_clip."
  parser:flag "--dynamic-batch":description "Make the first dimension of the inputs symbolic first."
  parser:flag "--list-passes":description "Print the names of all passes and stop."
  command.add_json(parser)
end

local function print_changes(streams, facts)
  for _, pass in ipairs(facts.passes) do
    local text = ("%-34s %s\n"):format(pass.name, command.plural(pass.changes, "change"))
    if pass.changes > 0 then streams.stdout:write(text) end
  end
  local nodes = command.plural(facts.nodes, "node")
  streams.stdout:write(("%s: %s, before %d\n"):format(facts.output, nodes, facts.nodes_before))
end

local function list_passes(streams)
  local usual, on_request = optimizer.get_available_passes()
  streams.stdout:write(table.concat(usual, "\n"), "\n")
  for _, name in ipairs(on_request) do streams.stdout:write(name, "  (only when named)\n") end
  return true
end

function M.run(args, streams)
  if args.list_passes then return list_passes(streams) end
  if not args.model then return command.usage(streams, "missing argument 'model'") end
  local output = args.output or optimizer.optimized_path(args.model)
  local wrong = command.overwrites(output, args.model)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  local before, names = #model, optimizer.with_passes(args.also, args.passes)
  if args.dynamic_batch then model = optimizer.convert_model_batch_to_dynamic(model) end
  local graph, counts = optimizer.optimize(model, names)
  errors.check(onnx.save(graph, output))
  local facts = { output = output, nodes_before = before, nodes = #graph, passes = json.array() }
  for i, name in ipairs(names) do facts.passes[i] = { name = name, changes = counts[name] } end
  if args.json then command.print_json(streams, facts) else print_changes(streams, facts) end
  return true
end

return M
