--- The .espdl file that ESP-DL v3's runtime loads: a quantized model, with tests of itself where they are wanted.
---
---     local ok, message, code, problems = espdl.write(model, table, {
---       path = "m.espdl", target = "esp32s3", test_input = tensor, metadata = { version = "1" } })
---
--- `table` is a qtable of runtime v3. Options: path, target (a chip; default: the table's), bits, test_input (a float32
--- tensor, or a table of them by input: its integers and those of the outputs are put into the file), intermediates (a
--- list of names: tensors that the test compares besides), metadata (a table of strings), model_version,
--- runtime_version ("3.3.9"), key (16 bytes: the model is encrypted). The same model, table and options give the same
--- bytes.

local codec = require "espquant.codec.espdl"
local core = require "espquant.core"
local input_shapes = require "espquant.input_shapes"
local layout = require "espquant.export.espdl_layout"
local matmul = require "espquant.export.espdl_matmul"
local Nodes = require "espquant.export.espdl_nodes"
local tensors = require "espquant.export.espdl_tensor"
local provenance = require "espquant.provenance"
local shape_text = require "espquant.shape".text
local v3 = require "espquant.quant.v3"

local M = {}

local MAX_IR_VERSION = 10 -- of the files that are known to load

-- --- shapes --------------------------------------------------------------------------------------------------------

-- A copy of the model for one image: what is left open at the front of an input is 1. All other dimensions must be
-- known.
local function for_one_image(model)
  local problems, shapes = {}, {}
  for _, input in ipairs(model.inputs) do
    local shape = {}
    for k, d in ipairs(input.shape or {}) do shape[k] = math.type(d) == "integer" and d or k == 1 and 1 or false end
    for _, d in ipairs(shape) do
      if not d then
        problems[#problems + 1] = ("input '%s' has the shape %s; the chip wants numbers: give it (--shape %s=...)")
          :format(input.name, shape_text(input.shape), input.name)
        break
      end
    end
    shapes[input.name] = shape
  end
  if #problems > 0 then return nil, problems[1], "format", problems end
  local copy, message, code = model:clone()
  if not copy then return nil, message, code end
  local ok
  ok, message, code = input_shapes.set(copy, shapes)
  if ok then ok, message, code = copy:infer_shapes() end
  if not ok then return nil, message, code end
  return copy
end

-- --- tests ---------------------------------------------------------------------------------------------------------

local function tensor_inputs(graph, given)
  if type(given) == "userdata" then given = { [graph.inputs[1].name] = given } end
  local list = {}
  for i, value in ipairs(graph.inputs) do
    local tensor = given[value.name]
    if not tensor then return nil, ("test_input: nothing for the input '%s'"):format(value.name), "format" end
    local shape = tensor.shape
    if #shape + 1 == #value.shape then tensor = tensor:reshape { 1, table.unpack(shape) } end -- an image of a batch
    list[i] = tensor
  end
  return list
end

-- A tensor of the graph as the device has it. A number without dimensions is written with one.
local function test_value(value, tensor)
  local perm = {}
  for k, axis in ipairs(value.perm) do perm[k] = axis - 1 end
  local moved = #perm > 1 and tensor:transpose(perm) or tensor
  if moved.rank == 0 then moved = moved:reshape { 1 } end
  local made = tensors.plain(value.name, moved, (value.dtype == "int8" or value.dtype == "int16") and value.quant)
  made.doc_string = nil
  return made
end

local function quantized(value, tensor, rounding)
  if not value.quant then return tensor end
  return tensor:quantize(value.quant.exponents, value.quant.bits, nil, rounding)
end

local function find_values(device, names)
  local by_name, list = {}, {}
  for _, value in ipairs(device.values) do by_name[value.name] = value end
  for i, name in ipairs(names) do
    if not by_name[name] then
      return nil, ("intermediates: '%s' is no tensor of the written model"):format(name), "format"
    end
    list[i] = by_name[name]
  end
  return list
end

-- The integers of the test: lists of tensors of the file.
local function tests(graph, device, options)
  if not options.test_input then return {}, {} end
  local given, message, code = tensor_inputs(graph, options.test_input)
  if not given then return nil, message, code end
  local rounding, names, inputs, outputs = v3.target.of(options.target).rounding, {}, {}, {}
  for i, value in ipairs(graph.inputs) do
    given[i] = quantized(value, given[i], rounding)
    inputs[i] = test_value(device.inputs[i], given[i])
  end
  local wanted = table.move(device.outputs, 1, #device.outputs, 1, {})
  local more
  more, message, code = find_values(device, options.intermediates or {})
  if not more then return nil, message, code end
  table.move(more, 1, #more, #wanted + 1, wanted)
  for i, value in ipairs(graph.outputs) do names[i] = value.name end
  for i, value in ipairs(more) do names[#graph.outputs + i] = value.name end
  local exec <close>, why, kind = core.executor(graph, { outputs = names })
  if not exec then return nil, why, kind end
  local got
  got, message, code = exec:run(#given == 1 and given[1] or given)
  if not got then return nil, message, code end
  for i, value in ipairs(wanted) do outputs[i] = test_value(value, got[i]) end
  return inputs, outputs
end

-- --- the model -----------------------------------------------------------------------------------------------------

local function infos(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = tensors.info(value) end
  return list
end

local function metadata(entries)
  local names, list = {}, {}
  for name in pairs(entries) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = { key = name, value = tostring(entries[name]) } end
  return #list > 0 and list or nil
end

-- The metadata, where the file comes from among them; where kernels of that version compute otherwise than the quantizer simulates (quant/v3/deviations.lua),
-- whoever simulates the file has to know: "runtime_version".
local function with_version(graph, options, origin)
  local entries = origin
  for key, text in pairs(options.metadata or {}) do entries[key] = text end
  for node in graph:nodes() do
    if node.domain == "esp" and node.op_type == "PRelu" then entries.runtime_version = options.runtime_version end
  end
  return entries
end

--- The tables of codec/espdl_schema for an integer graph (quant/v3/apply.lua), or nil, message, code.
function M.model(graph, options)
  local device = layout(graph)
  matmul.pack(device, options)
  local nodes = Nodes.new { chip = options.target, taken = device.taken }
  for _, node in ipairs(device.nodes) do nodes:add(node) end
  local inputs, outputs, code = tests(graph, device, options)
  if not inputs then return nil, outputs, code end
  local version = options.model_version or 0
  return {
    ir_version = options.ir_version or 8, opset_import = {}, producer_name = "espquant",
    model_version = version ~= 0 and version or nil, metadata_props = metadata(options.metadata or {}),
    graph = { name = graph.name, node = nodes.list, initializer = nodes:parameters(), input = infos(device.inputs),
      output = infos(device.outputs), value_info = infos(device.values), test_inputs_value = inputs,
      test_outputs_value = outputs },
  }
end

--- The bytes of the file, or nil, message, code, problems.
function M.encode(model, table, options)
  local o = { target = table.facts.target, bits = table.facts.bits, runtime_version = "3.3.9" }
  for key, value in pairs(options) do o[key] = value end
  local static, message, code, problems = for_one_image(model)
  if not static then return nil, message, code, problems end
  local ok, q
  ok, message, code, problems = v3.check(static, { bits = o.bits, target = o.target, layers = table.facts.layers })
  if not ok then return nil, message, code, problems end
  q, message, code, problems = v3.apply(static, table, { chip = o.target, bits = o.bits,
    runtime_version = o.runtime_version })
  if not q then return nil, message, code, problems end
  o.metadata = with_version(q, o, provenance.metadata(model, table))
  o.ir_version = math.max(1, math.min(model.ir_version, MAX_IR_VERSION))
  local made
  made, message, code = M.model(q, o)
  if not made then return nil, message, code end
  return codec.encode(made, o.key)
end

--- Writes options.path: true, or nil, message, code, problems.
function M.write(model, table, options)
  local bytes, message, code, problems = M.encode(model, table, options)
  if not bytes then return nil, message, code, problems end
  return core.write_file(options.path, bytes)
end

return M
