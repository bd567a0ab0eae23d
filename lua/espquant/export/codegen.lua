--- A program for ESP-DL v1: coefficients, the model class, and a test that compares every layer with the simulation.
---
---     local codegen = require "espquant.export.codegen"
---     local ok, message, code, problems = codegen.write(model, qtable, {
---       bits = 8, granularity = "per-channel", target = "esp32s3", path = "folder", name = "digits",
---       images = tensor,
---     })
---
--- writes `<name>_coefficient.cpp` and `.hpp`, `<name>_model.hpp`, `<name>_test.hpp`, `app_main.cpp` and
--- CMakeLists.txt.
--- The coefficients are those of export/cpp.lua but for weights behind a flattened image: the runtime holds images as
--- H, W, C, ONNX as C, H, W, so these weights are in the runtime's order.

local codegen_plan = require "espquant.export.codegen_plan"
local codegen_text = require "espquant.export.codegen_text"
local core = require "espquant.core"
local cpp_layers = require "espquant.export.cpp_layers"
local cpp_names = require "espquant.export.cpp_names"
local cpp_text = require "espquant.export.cpp_text"
local output = require "espquant.export.output"
local quant = require "espquant.quant"

local M = {}

--- Layers up to this many elements stand in the test as they are, larger ones as a checksum.
M.EMBEDDED_ELEMENTS = 4096

local function refuse(problems, code)
  return output.refuse("no program can be written", problems, code)
end

-- --- preparation ----------------------------------------------------------------------------------------------------

-- A copy of the model for one image; nil, message, code.
local function single_image(model)
  local graph = model:clone()
  for _, input in ipairs(graph.inputs) do
    local shape = { table.unpack(input.shape or {}) }
    if #shape > 0 then
      shape[1] = 1
      input:set_shape(shape)
    end
  end
  local ok, message, code = graph:infer_shapes()
  if not ok then return nil, "the runtime takes one image at a time: " .. message, code end
  graph:prune()
  return graph
end

-- The table as the exporter reads it, with the names of reordered weights.
local function with_aliases(qtable, aliases)
  local t = {}
  function t:get(name) return qtable:get(aliases[name] or name) end -- luacheck: no self
  return t
end

-- --- the test -------------------------------------------------------------------------------------------------------

-- Numbers in [-1, 1) that are the same everywhere.
local function some_image(shape)
  local count, list, state = 1, {}, 1
  for _, d in ipairs(shape) do count = count * d end
  for i = 1, count do
    state = (state * 1103515245 + 12345) & 0x7fffffff
    list[i] = (state >> 8) / 4194304 - 1
  end
  return core.tensor_from(list, "float32", shape)
end

-- The first image, or one of our own; nil, message, code.
local function image_for(input, images)
  if not images then return some_image(input.shape) end
  local first = images:slice(1, 1)
  if table.concat(first.shape, ",") ~= table.concat(input.shape, ",") then
    return nil, ("the image has the shape (%s), input '%s' (%s)"):format(table.concat(first.shape, ", "), input.name,
      table.concat(input.shape, ", ")), "format"
  end
  return first:astype "float32"
end

-- FNV-1a of bytes, 32 bits.
local function checksum(bytes)
  local hash = 2166136261
  for i = 1, #bytes do hash = ((hash ~ bytes:byte(i)) * 16777619) & 0xffffffff end
  return hash
end

-- A tensor of ONNX as it lies in the runtime's memory.
local function in_memory(tensor, state)
  local perm, shape = { 0 }, { 1, table.unpack(state.dims) }
  for i, axis in ipairs(state.order) do perm[i + 1] = axis end
  return tensor:reshape(shape):transpose(perm):copy():reshape { -1 }
end

-- What each layer that has a tensor of the model must give for the image.
local function simulate(plan, q, image)
  local names, tests = {}, {}
  for _, layer in ipairs(plan.layers) do
    if layer.value then
      layer.test, names[#names + 1] = #names, layer.value.name
      tests[#names] = layer
    end
  end
  local executor, message, code = core.executor(q, { outputs = names, threads = 1 })
  if not executor then return nil, message, code end
  local outputs
  outputs, message, code = executor:run(image)
  executor:close()
  if not outputs then return nil, message, code end
  for i, layer in ipairs(tests) do
    local elements = in_memory(outputs[i], layer.state)
    tests[i] = {
      label = layer.label, elements = elements, checksum = checksum(elements:tobytes()),
      embedded = elements.count <= M.EMBEDDED_ELEMENTS,
    }
  end
  return tests
end

-- --- names ----------------------------------------------------------------------------------------------------------

-- Gives every layer and constant a name of its own. A fused activation's name is its layer's.
local function name_all(plan, layers, names)
  local taken = {}
  for i, constant in ipairs(plan.constants) do constant.name = ("constant_%d"):format(i) end
  for i, layer in ipairs(plan.layers) do
    local base = layer.node and (layers.called[layer.node] or names:layer(layer.node))
    local member = base and base .. "_layer" or ("%s_%d_move"):format(layer.class:lower(), i)
    if taken[member] then member = base .. "_activation_layer" end
    taken[member], layer.member = true, member
    layer.label = layer.node and (layer.node.name ~= "" and layer.node.name or layer.value.name) or member
  end
end

-- What the text asks for: names of files and the class, and the getters of coefficients.
local function naming(name, layers)
  local exists = {}
  for _, object in ipairs(layers.objects) do exists[object.name] = true end
  local c = { coefficients = name .. "_coefficient", class = name .. "_model", test = name .. "_test" }
  function c.getter(node, part)
    local object = ("%s_%s"):format(layers.called[node], part)
    return exists[object] and ("%s::get_%s()"):format(c.coefficients, object) or nil
  end
  return c
end

-- --- everything together --------------------------------------------------------------------------------------------

local function read_options(qtable, options)
  local o = {
    bits = options.bits or qtable.facts.bits or 8,
    granularity = options.granularity or qtable.facts.granularity or "per-tensor", images = options.images,
    target = options.target or "esp32s3", path = options.path or ".", name = options.name or "my",
    log = options.log or print,
  }
  assert(o.bits == 8 or o.bits == 16, "bits: 8 or 16 expected")
  quant.options.check("granularity", o.granularity)
  quant.options.check_combination { bits = o.bits, granularity = o.granularity }
  o.per_channel, o.type = o.granularity == "per-channel", ("int%d_t"):format(o.bits)
  return o
end

-- The plan and the coefficients; nil, message, code, problems.
local function plan_of(graph, q, qtable, o, names)
  local plan = codegen_plan.new {
    model = graph, q = q, type = o.type, bias_type = o.per_channel and "int16_t" or o.type,
  }
  plan:build()
  if #plan.problems > 0 then return refuse(plan.problems, "unsupported") end
  for _, warning in ipairs(plan.warnings) do o.log("warning: " .. warning) end
  plan.input_exponent = plan:exponent(graph.inputs[1])
  local layers = cpp_layers.new {
    table = with_aliases(qtable, plan.aliases), names = names, chip = true, bits = o.bits, per_channel = o.per_channel,
    target = o.target, log = o.log, is_program = true,
  }
  layers:collect(graph)
  if #layers.problems > 0 then return refuse(layers.problems, "format") end
  return plan, layers
end

local function write_files(plan, layers, tests, image, o)
  local c = naming(o.name, layers)
  local texts = {
    [c.coefficients .. ".cpp"] = cpp_text.cpp(c.coefficients, c.coefficients, layers.objects),
    [c.coefficients .. ".hpp"] = cpp_text.hpp(c.coefficients, layers.objects),
    [c.class .. ".hpp"] = codegen_text.model(plan, c), [c.test .. ".hpp"] = codegen_text.test(plan, c, image, tests),
    ["app_main.cpp"] = codegen_text.main(plan, c), ["CMakeLists.txt"] = codegen_text.cmake(c),
  }
  local paths, list = {}, {}
  for name in pairs(texts) do paths[#paths + 1] = name end
  table.sort(paths)
  for i, name in ipairs(paths) do paths[i], list[i] = o.path .. "/" .. name, texts[name] end
  local ok, message, code = output.write(paths, list)
  if not ok then return nil, message, code end
  local files = table.concat(paths, ", ")
  o.log(("%d layers for %s, %d of them with a test: %s"):format(#plan.layers, o.target, #tests, files))
  return true
end

local function write(o, model, qtable)
  local ok, message, code = output.check_target(o.target)
  if ok then ok, message, code = core.check_folder(o.path) end
  if not ok then return nil, message, code end
  local problems
  ok, message, code, problems = quant.check(model, "chip", "evaluator")
  if not ok then return refuse(problems or { message }, code) end
  local graph, q
  graph, message, code = single_image(model)
  if not graph then return nil, message, code end
  q, message, code, problems = quant.apply(graph, qtable, o)
  if not q then return refuse(problems or { message }, code) end
  local names = cpp_names.new { chip = true, log = o.log }
  o.name = names:namespace(o.name)
  local image, plan, layers
  image, message, code = image_for(graph.inputs[1], o.images)
  if not image then return nil, message, code end
  plan, layers, code, problems = plan_of(graph, q, qtable, o, names)
  if not plan then return nil, layers, code, problems end
  name_all(plan, layers, names)
  local tests
  tests, message, code = simulate(plan, q, image)
  if not tests then return nil, message, code end
  local integers = in_memory(assert(image:quantize({ plan.input_exponent }, o.bits)), plan.input)
  return write_files(plan, layers, tests, integers, o)
end

--- Writes the six files. `options`: bits (8 or 16) and granularity (the table's), target ("esp32s3"), path ("."), name
--- ("my"; an identifier is made of it), images (a float32 tensor whose first image is the test's; one is made up
--- otherwise), log (print). Returns true, or nil, message, code and the list of all problems; then no file has changed.
function M.write(model, qtable, options)
  return output.write_then_log(read_options(qtable, options), write, model, qtable)
end

return M
