--- espquant optimize: a float model made simpler, with the same results.

local bias_correction = require "espquant.bias_correction"
local command = require "espquant.command"
local errors = require "espquant.errors"
local gain = require "espquant.gain"
local json = require "espquant.json"
local onnx = require "espquant.onnx"
local optimizer = require "espquant.optimizer"
local provenance = require "espquant.provenance"

local M = { name = "optimize", summary = "fold and remove nodes of a float model" }

-- The list of names in "a,b", checked.
local function pass_list(text)
  for name in text:gmatch "[^,]+" do
    local why = optimizer.REFUSED_PASSES[name]
    if why then return nil, ("pass '%s' is not done: %s"):format(name, why) end
  end
  local known, on_request = optimizer.get_available_passes()
  table.move(on_request, 1, #on_request, #known + 1, known)
  local list, message = command.name_list(text, "pass", known)
  return list, message and message .. " (--list-passes names all)"
end

M.examples = {
  "espquant optimize m.onnx",
  "espquant optimize m.onnx -o small.onnx --also cut_final_softmax",
}

function M.configure(parser)
  command.add_model(parser):args "?"
  parser:option "-o --output":argname "FILE":description "Where to write (default: MODEL_optimized.onnx)."
  parser:option "--passes":argname "A,B":convert(pass_list)
    :description "Only these passes, in this order (default: --list tells which)."
  parser:option "--also":argname "A,B":convert(pass_list)
    :description "Run these before the passes above, for instance cut_final_softmax,split_clip."
  parser:flag "--dynamic-batch":description "Make the first dimension of the inputs symbolic first."
  parser:flag "--fixed-point"
    :description "Repeat the whole list until nothing changes, which is always done without --passes."
  parser:flag "--trace":description "Print each change: the pass and the node, on standard error."
  parser:flag "--no-verify":description "Do not compare the model before and after on random input."
  parser:flag "--equalize"
    :description "At last scale channels so that one exponent suits the weights of all (docs/diagnosis.md)."
  parser:flag "--bias-correct"
    :description "Then change biases so that the quantized channels' means over --data are the float model's."
  parser:flag "--list-passes --list":description "Print all passes with what they do, and stop."
  command.add_data(parser, "For --bias-correct, and to print what that or --equalize gains:")
  command.add_runtime(parser, { target = true })
  command.add_quantization(parser, { method = true })
  command.add_observers(parser)
  command.add_threads(parser)
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

local function print_verification(streams, facts)
  if facts.unknown then
    streams.stderr:write("espquant: note: not compared on random input: ", facts.unknown, "\n")
    return
  end
  if facts.compared > 0 then
    streams.stdout:write(("largest difference on random input: %.2g of the largest number, in '%s'\n")
      :format(facts.difference, facts.output))
  end
  for _, name in ipairs(facts.skipped) do
    streams.stderr:write(("espquant: note: output '%s' was not compared\n"):format(name))
  end
end

-- How a pass runs: only when it is named, ...
local function mark(entry)
  if entry.refused then return "  (refused: " .. entry.refused .. ")" end
  if not entry.default then return "  (only when named)" end
  return entry.original and "  (also in optimize_fp_model)" or ""
end

local function list_passes(streams)
  for _, entry in ipairs(optimizer.passes()) do
    streams.stdout:write(entry.name, mark(entry), "\n")
    for line in (entry.text or ""):gmatch "[^\n]+" do streams.stdout:write("    ", line, "\n") end
  end
  return true
end

local function tracer(streams)
  return function(name, label) streams.stderr:write(name, ": ", label, "\n") end
end

-- What is wrong with the options of --data, or nil.
local function wrong_data(args, settings)
  if #args.data == 0 then return args.bias_correct and "--bias-correct needs --data" or nil end
  if not args.equalize and not args.bias_correct then return "--data is for --equalize and --bias-correct" end
  return command.conflict(settings) or command.wrong_target(settings)
end

-- The model with its channels equalized and its biases corrected, as far as asked for. Adds to the facts what was done,
-- and with data the gain of each at the outputs.
local function refine(plain, facts, args, settings, data)
  local graph, last = plain, data and gain.snr(plain, plain, data, settings)
  local function done(name, option, changes)
    facts.passes[#facts.passes + 1] = { name = name, changes = changes }
    if not data then return end
    local before = last
    last = gain.snr(plain, graph, data, settings)
    facts.gains = facts.gains or json.array()
    facts.gains[#facts.gains + 1] = { option = option, before_db = before, after_db = last, gain_db = last - before }
  end
  if args.equalize then
    local counts
    graph, counts = optimizer.optimize(graph, { "equalize_weights" })
    done("equalize_weights", "--equalize", counts.equalize_weights)
  end
  if args.bias_correct then
    local rows
    graph, rows = bias_correction.run(graph, data, settings)
    done("bias_correction", "--bias-correct", #rows)
  end
  return graph
end

local function print_gains(streams, gains)
  for _, row in ipairs(gains) do
    streams.stdout:write(("%s: signal to noise of the quantized outputs %.1f dB, before %.1f dB (%+.1f dB)\n")
      :format(row.option, row.after_db, row.before_db, row.gain_db))
    if row.gain_db < 0 then
      streams.stderr:write(("espquant: note: %s loses here; leave it out, or try other options\n"):format(row.option))
    end
  end
end

function M.run(args, streams)
  if args.list_passes then return list_passes(streams) end
  if not args.model then return command.usage(streams, "missing argument 'model'") end
  local output = args.output or optimizer.optimized_path(args.model)
  local settings = command.settings(args)
  local wrong = command.overwrites(output, args.model, table.unpack(args.data)) or wrong_data(args, settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  local source = provenance.hash(model)
  local before, names = #model, optimizer.with_passes(args.also, args.passes or (optimizer.get_available_passes()))
  if args.dynamic_batch then model = optimizer.convert_model_batch_to_dynamic(model) end
  local graph, counts, proof = optimizer.optimize(model, (args.passes or args.also) and names, {
    trace = args.trace and tracer(streams), verify = not args.no_verify,
    fixed_point = args.fixed_point or (args.also and not args.passes),
  })
  if proof and proof.skipped then json.array(proof.skipped) end
  local facts = { output = output, nodes_before = before, nodes = #graph, passes = json.array(), verify = proof }
  for i, name in ipairs(names) do facts.passes[i] = { name = name, changes = counts[name] } end
  if args.equalize or args.bias_correct then
    graph = refine(graph, facts, args, settings, #args.data > 0 and command.data(args, graph, streams))
  end
  if args.equalize then names[#names + 1] = "equalize_weights" end
  if args.bias_correct then names[#names + 1] = "bias_correction" end
  local done = ("dynamic batch %s: %s"):format(tostring(args.dynamic_batch), table.concat(names, ","))
  provenance.stamp(graph, source, done)
  errors.check(onnx.save(graph, output))
  if args.json then
    command.print_json(streams, facts)
  else
    print_changes(streams, facts)
    if proof then print_verification(streams, proof) end
    if facts.gains then print_gains(streams, facts.gains) end
  end
  return true
end

return M
