--- espquant run: data through the float model, or through the integers of a quantization table.

local Evaluator = require "espquant.evaluator"
local command = require "espquant.command"
local core = require "espquant.core"
local errors = require "espquant.errors"
local espdl = require "espquant.espdl"
local espdl_graph = require "espquant.espdl_graph"
local espdl_test = require "espquant.espdl_test"
local json = require "espquant.json"
local npy = require "espquant.npy"
local npz = require "espquant.codec.npz_writer"
local progress = require "espquant.progress"

local M = { name = "run", summary = "run data through a model, in float or as the chip's integers" }

M.examples = {
  "espquant run m.onnx -d images.npy -o out.npz",
  "espquant run m.onnx -t m.json -d images.npy --as-float",
  "espquant run m.espdl",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file; or an .espdl file, whose own test is run.")
  command.add_data(parser, "Of an .onnx file:")
  parser:option "-t --table":argname "TABLE":description "Compute with the integers of this table."
  parser:flag "--as-float":description "With a table: the integers times their scale."
  parser:option "-o --output":argname "FILE"
    :description "Where to write the outputs: .npz (by name) or .npy (one output). Default: print them, abbreviated."
  parser:option "--tensor":count "*":argname "NAME"
    :description "This tensor instead of the model's outputs; repeatable."
  command.add_simulation(parser)
  command.add_threads(parser)
  command.add_key(parser)
  command.add_json(parser)
end

local function check_tensors(model, names)
  for _, name in ipairs(names) do
    if not model:value(name) then errors.raise("format", ("the model has no tensor '%s'"):format(name)) end
  end
  return #names > 0 and names or nil
end

-- A function that runs one batch: list of tensors, list of names.
local function runner(args, model, t, settings)
  local names = check_tensors(model, args.tensor)
  if not t then
    local exec = errors.check(core.executor(model, { threads = args.threads, outputs = names }))
    return function(batch) return errors.check(exec:run(batch)) end
  end
  settings.outputs = names
  local eva = Evaluator(settings)
  eva:generate_quantized_model(model, t)
  return function(batch) return eva:evaluate_quantized_model(batch, args.as_float) end
end

local function run_all(data, run)
  local columns, names, images = {}, nil, 0
  local bar <close> = progress.new { title = "run", total = data:count() }
  for batch in data:batches() do
    local outputs
    outputs, names = run(batch)
    for i, tensor in ipairs(outputs) do
      columns[i] = columns[i] or {}
      table.insert(columns[i], tensor)
    end
    images = images + (type(batch) == "table" and #batch[1] or #batch)
    bar:update(images)
  end
  local arrays = {}
  for i, column in ipairs(columns) do
    arrays[i] = { name = names[i], tensor = #column == 1 and column[1] or errors.check(core.concat(column, 0)) }
  end
  return arrays, images
end

local function write(path, arrays)
  if path:lower():match "%.npy$" then return npy.save(path, arrays[1].tensor) end
  local records = {}
  for i, array in ipairs(arrays) do
    local t = array.tensor
    records[i] = { name = array.name, dtype = t.dtype, shape = t.shape, data = t:tobytes() }
  end
  local bytes, message, code = npz.encode(records)
  if not bytes then return nil, ("%s: %s"):format(path, message), code end
  return core.write_file(path, bytes)
end

local function print_arrays(args, streams, arrays, images)
  if args.json then
    local list = json.array()
    for i, a in ipairs(arrays) do
      list[i] = { name = a.name, dtype = a.tensor.dtype, shape = json.array(a.tensor.shape) }
    end
    return command.print_json(streams, { images = images, output = args.output, tensors = list })
  end
  for _, a in ipairs(arrays) do
    local t = a.tensor
    local text = args.output and t.dtype .. " " .. table.concat(t.shape, "x") or tostring(t)
    streams.stdout:write(a.name, ": ", text, "\n")
  end
end

-- What is wrong with the options, or nil.
local function wrong_options(args, settings)
  local path = args.output
  if args.as_float and not args.table then return "--as-float needs --table" end
  if args.accumulator and not args.table then return "--accumulator needs --table" end
  if path and not path:lower():match "%.np[yz]$" then return "--output: a name that ends in .npz or .npy expected" end
  local ok, refusal = errors.pcall(Evaluator, settings)
  return not ok and refusal
    or path and command.overwrites(path, args.model, args.table or "", table.unpack(args.data))
end

-- --- .espdl files --------------------------------------------------------------------------------------------------

local function is_espdl(path)
  local head = core.read_part(path, 0, 16)
  return head and espdl.is_espdl(head)
end

local function test_facts(entry, chip, accumulator)
  local graph = errors.check(espdl_graph.read(entry, chip))
  if accumulator == "lanes" and graph.arithmetic == "v3-half-even" then
    errors.raise("format", ("%s: sums saturate on lanes only of files for the esp32s3"):format(entry.name))
  end
  graph.accumulator = accumulator or "exact"
  return errors.check(espdl_test(graph, entry))
end

local function print_tests(streams, entry, facts)
  for _, f in ipairs(facts) do
    streams.stdout:write(("%s: %s: %s\n"):format(entry.name, f.name, f.different == 0
      and ("all %d elements equal"):format(f.elements)
      or ("%d of %d elements differ, by %g at most"):format(f.different, f.elements, f.most)))
  end
  if #facts == 0 then streams.stdout:write(entry.name, ": the file holds no test\n") end
end

-- The tests inside of the file; false when one fails, which is exit code 1.
local function run_espdl(args, streams)
  local ok, list = true, json.array()
  for i, entry in ipairs(errors.check(espdl.load(args.model, args.key))) do
    local facts = test_facts(entry, args.chip, args.accumulator)
    for _, f in ipairs(facts) do ok = ok and f.different == 0 end
    list[i] = { name = entry.name, tensors = json.array(facts) }
    if not args.json then print_tests(streams, entry, facts) end
  end
  if args.json then command.print_json(streams, { models = list, equal = ok }) end
  return ok
end

local function wrong_espdl(args)
  for _, name in ipairs { "table", "output" } do
    if args[name] then return ("--%s is for .onnx files"):format(name) end
  end
  if #args.data > 0 or #args.tensor > 0 then return "--data and --tensor are for .onnx files" end
  return command.conflict { runtime = "v3", chip = args.chip, accumulator = args.accumulator }
end

function M.run(args, streams)
  if is_espdl(args.model) then
    local wrong = wrong_espdl(args)
    if wrong then return command.usage(streams, wrong) end
    return run_espdl(args, streams)
  end
  if #args.data == 0 then return command.usage(streams, "--data is missing") end
  local t = args.table and command.table(args.table)
  local settings = command.simulation(args, t)
  local wrong = wrong_options(args, settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  if t then command.note_other_model(args.table, t, model, streams) end
  local wanted = #args.tensor > 0 and #args.tensor or #model.outputs
  if wanted > 1 and args.output and args.output:lower():match "%.npy$" then
    return command.usage(streams, ("%d tensors need an .npz file, or choose one with --tensor"):format(wanted))
  end
  local data = command.data(args, model, streams)
  local arrays, images = run_all(data, runner(args, model, t, settings))
  if args.output then errors.check(write(args.output, arrays)) end
  print_arrays(args, streams, arrays, images)
  return true
end

return M
