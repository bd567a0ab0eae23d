--- espquant info: what is in a model, a quantization table or a file of arrays.

local command = require "espquant.command"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local espdl = require "espquant.espdl"
local json = require "espquant.json"
local model_scales = require "espquant.model_scales"
local qtable = require "espquant.qtable"
local shape_text = require "espquant.shape".text
local size = require "espquant.size"

local M = { name = "info", summary = "print what is in a model, a table or a file of arrays" }

M.examples = {
  "espquant info m.onnx",
  "espquant info m.json",
  "espquant info m.espdl --json",
}

function M.configure(parser)
  command.add_model(parser, "file", ".onnx, .espdl, a table (.pickle or .json), or data as for --data.")
  parser:flag "--nodes":description "Print every node of a model."
  command.add_file_options(parser)
  command.add_key(parser)
  command.add_json(parser)
end

-- --- models -------------------------------------------------------------------------------------------------------

local function tensors_of(values)
  local list = json.array()
  for i, value in ipairs(values) do
    local shape = json.array()
    for k, d in ipairs(value.shape or {}) do shape[k] = d or json.null end
    list[i] = { name = value.name, dtype = value.dtype, shape = value.shape and shape or json.null }
  end
  return list
end

local function count_operators(model)
  local counts, order = {}, {}
  for node in model:nodes() do
    if not counts[node.op_type] then order[#order + 1] = node.op_type end
    counts[node.op_type] = (counts[node.op_type] or 0) + 1
  end
  table.sort(order, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  return counts, order
end

local function largest_of(model)
  local list = json.array()
  for i, t in ipairs(size.largest(model, 5)) do
    local shape = json.array()
    for k, d in ipairs(t.shape) do shape[k] = d or json.null end
    list[i] = { name = t.name, shape = shape, elements = t.elements }
  end
  return list
end

local function model_facts(model)
  local parameters = 0
  for _, value in ipairs(model:values()) do
    if value.constant then parameters = parameters + value.constant.count end
  end
  return {
    kind = "model", name = model.name, opset = model.opset, ir_version = model.ir_version, producer = model.producer,
    inputs = tensors_of(model.inputs), outputs = tensors_of(model.outputs), nodes = #model, parameters = parameters,
    macs = (size.total_macs(model)), largest_tensors = largest_of(model),
    operators = json.object((count_operators(model))), scales = json.array(model_scales.list(model)),
  }
end

local function value_text(value)
  return ("%s: %s %s"):format(value.name, value.dtype or "unknown type", shape_text(value.shape, "any shape"))
end

-- Per tensor: the trained scale, the power of two that it becomes, and how far that is from it.
local function print_scales(streams, facts)
  if #facts == 0 then return end
  local rows = { { "trained scale of", "scale", "exponent", "error", "zero point" } }
  for i, f in ipairs(facts) do
    rows[i + 1] = { f.name, ("%.6g"):format(f.scale), ("%d"):format(f.exponent), ("%+.1f %%"):format(100 * f.error),
      f.zero_point ~= 0 and ("%d, %s"):format(f.zero_point, f.dtype) or "" }
  end
  command.print_columns(streams, rows)
end

local function print_model(streams, model)
  local facts, out = model_facts(model), streams.stdout
  out:write(("model '%s': opset %d, IR version %d%s\n"):format(facts.name, facts.opset, facts.ir_version,
    facts.producer ~= "" and ", by " .. facts.producer or ""))
  for _, value in ipairs(model.inputs) do out:write("  input  ", value_text(value), "\n") end
  for _, value in ipairs(model.outputs) do out:write("  output ", value_text(value), "\n") end
  out:write(("  %s, %s, %s an image\n"):format(command.plural(facts.nodes, "node"),
    command.plural(facts.parameters, "parameter"), command.plural(facts.macs, "multiply-accumulate")))
  local counts, order = count_operators(model)
  for _, name in ipairs(order) do out:write(("  %5d %s\n"):format(counts[name], name)) end
  if #facts.largest_tensors > 0 then out:write "  largest tensors, elements an image\n" end
  for _, t in ipairs(facts.largest_tensors) do
    out:write(("  %9d %s: %s\n"):format(t.elements, t.name, shape_text(t.shape, "any shape")))
  end
  print_scales(streams, model_scales.list(model))
end

local function model_info(args, streams)
  local model = command.model(args.file, args, streams)
  if args.json then
    command.print_json(streams, model_facts(model))
  elseif args.nodes then
    streams.stdout:write(tostring(model), "\n")
  else
    print_model(streams, model)
  end
end

-- --- tables and arrays --------------------------------------------------------------------------------------------

local function print_table(args, streams, t)
  if args.json then return streams.stdout:write(t:to_json()) end
  local recipe = t:input_recipe()
  streams.stdout:write(tostring(t), "\n", recipe, recipe ~= "" and "\n" or "")
end

local function table_info(args, streams)
  print_table(args, streams, errors.check(qtable.load(args.file)))
end

-- Extends the range to a tensor's; false where it holds NaN or infinity.
local function widen(facts, t)
  if t.dtype == "float16" then t = errors.check(t:astype "float32") end
  if t.count == 0 then return true end
  if not t:isfinite() then return false end
  facts.min, facts.max = math.min(facts.min or math.huge, t:min()), math.max(facts.max or -math.huge, t:max())
  return true
end

local function array_facts(data, array)
  local t = array.tensor or array
  local facts, finite = { name = array.name, dtype = t.dtype, shape = json.array(t.shape) }, true
  if array.tensor then
    finite = widen(facts, t)
  else
    for part in data:parts() do finite = widen(facts, part) and finite end
  end
  if not finite then facts.min, facts.max = nil, nil end
  return facts
end

local function label_facts(labels)
  if not labels then return nil end
  local lo, hi = math.huge, -math.huge
  for _, label in ipairs(labels) do lo, hi = math.min(lo, label), math.max(hi, label) end
  return { count = #labels, min = labels[1] and lo, max = labels[1] and hi }
end

local function range_text(format, facts)
  return facts.min and (", " .. format .. " to " .. format):format(facts.min, facts.max) or ""
end

local function data_info(args, streams)
  local data, list = errors.check(dataset.open(args.file, command.file_options(args))), json.array()
  for i, array in ipairs(data.arrays) do list[i] = array_facts(data, array) end
  local labels = label_facts(data.labels)
  if args.json then return command.print_json(streams, { kind = "arrays", arrays = list, labels = labels }) end
  if #list == 0 then streams.stdout:write("no array\n") end
  for _, f in ipairs(list) do
    streams.stdout:write(("%s%s %s%s\n"):format(f.name and f.name .. ": " or "", f.dtype, shape_text(f.shape),
      range_text("%.6g", f)))
  end
  if labels then
    streams.stdout:write(command.plural(labels.count, "label"), range_text("%d", labels), "\n")
  end
end

local function pictures_info(args, streams)
  local data = errors.check(dataset.open(args.file))
  if not args.json then
    streams.stdout:write(tostring(data), "\n", #data.notes > 0 and data.notes[1] .. "\n" or "")
    return
  end
  command.print_json(streams,
    { kind = "images", images = data:count(), classes = data.classes and json.array(data.classes),
    notes = json.array(data.notes) })
end

-- --- ESP-DL v3 ----------------------------------------------------------------------------------------------------

local function espdl_info(args, streams)
  local models = errors.check(espdl.load(args.file, args.key))
  if args.json then
    local facts = json.array()
    for i, model in ipairs(models) do facts[i] = espdl.facts(model) end
    return command.print_json(streams, { kind = "espdl", models = facts })
  end
  for _, model in ipairs(models) do streams.stdout:write(espdl.text(model), "\n") end
end

-- --- which of them --------------------------------------------------------------------------------------------------

-- A pickle is a table, or arrays where it is none.
local function pickle_info(args, streams)
  local t, message, code, problems = qtable.load(args.file)
  if not t and dataset.open(args.file, command.file_options(args)) then return data_info(args, streams) end
  print_table(args, streams, errors.check(t, message, code, problems))
end

local function kind_of(path, dtype)
  if dataset.is_pictures(path, dtype) then return pictures_info end
  if dtype then return data_info end
  local head, name = errors.check(core.read_part(path, 0, 16)), path:lower()
  if name:match "%.onnx$" then return model_info end
  if espdl.is_espdl(head) then return espdl_info end
  if name:match "%.pickle$" or name:match "%.pkl$" or head:sub(1, 1) == "\x80" then return pickle_info end
  if name:match "%.json$" or head:sub(1, 1) == "{" then return table_info end
  return dataset.format_of(path) and data_info or model_info
end

function M.run(args, streams)
  kind_of(args.file, args.data_dtype)(args, streams)
  return true
end

return M
