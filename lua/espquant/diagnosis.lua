--- Where the error of one layer comes from: the layer computed in float with one source of error at a time.
---
---     local facts = diagnosis.of(model, data, "conv1", { bits = "int8" })
---     for _, source in ipairs(facts.sources) do print(source.name, source.snr) end
---
--- All noise is measured against what the float model computes for the layer, over all data. The layer is a node, with
--- the Relu behind it where the integer model has no tensor between them.

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local core = require "espquant.core"
local errors = require "espquant.errors"
local gain = require "espquant.gain"
local json = require "espquant.json"
local suggest = require "espquant.suggest"
local weight_channels = require "espquant.weight_channels"

local M = {}

local MOST_CHANNELS = 5 -- that are told

-- --- the layer ----------------------------------------------------------------------------------------------------

local function names_of(model)
  local names = {}
  for node in model:nodes() do
    if node.name ~= "" then names[#names + 1] = node.name end
    for _, value in ipairs(node.outputs) do names[#names + 1] = value and value.name or nil end
  end
  return names
end

-- The node of that name, or that makes the tensor of that name; raises with those that may have been meant.
local function find(model, name)
  local node = model:node(name)
  local value = not node and model:value(name)
  node = node or value and value.producer
  if node then return node end
  local near = suggest(name, names_of(model))
  local hint = #near > 0 and "did you mean: " .. table.concat(near, ", ", 1, math.min(#near, 5)) .. "?"
    or "espquant info MODEL lists the layers"
  errors.raise("format", ("the model has no layer '%s'; %s"):format(name, hint))
end

-- The layer's tensors: the last one that the integer model has, and what is read. A Relu is taken together with the
-- node before it where the integer model has no tensor between them.
local function layer_of(eva, node)
  local maker = node.op_type == "Relu" and node:input(1).producer
  if maker and not eva.simulation.form(eva, node:input(1).name) then node = maker end
  local layer, out = { node = node, inputs = {} }, node:output(1)
  local users = out:users()
  if not eva.simulation.form(eva, out.name) and #users == 1 and users[1].op_type == "Relu" then
    layer.relu, out = users[1], users[1]:output(1)
  end
  layer.form = out and eva.graph:value(out.name) and eva.simulation.form(eva, out.name)
  if not layer.form or not layer.form.bits then
    errors.raise("unsupported", ("%s: the integer model has no tensor of it (folded, or computed in float); optimize "
      .. "the model first"):format(node:label()))
  end
  layer.output = out
  local seen = {}
  for _, input in ipairs(node.inputs) do
    if input and not input.constant and not seen[input] then
      seen[input], layer.inputs[#layer.inputs + 1] = true, input
    end
  end
  return layer
end

-- A graph of the layer alone; `weight` stands for its constant weight.
local function alone(model, layer, weight)
  local g = core.graph { name = "layer", opset = model.opset }
  local made, inputs = {}, {}
  local function take(value, tensor)
    if not made[value.name] then
      made[value.name] = value.constant and assert(g:add_constant(value.name, tensor or value.constant))
        or assert(g:add_input(value.name, value.dtype, value.shape))
    end
    return made[value.name]
  end
  for i, value in ipairs(layer.node.inputs) do inputs[i] = value and take(value, i == 2 and weight or nil) end
  local last = assert(g:add_node { op_type = layer.node.op_type, domain = layer.node.domain, inputs = inputs,
    outputs = { layer.node:output(1).name }, attrs = layer.node:attrs() })
  if layer.relu then
    last = assert(g:add_node { op_type = "Relu", inputs = { last:output(1) }, outputs = { layer.output.name } })
  end
  g:add_output(last:output(1))
  errors.check(g:infer_shapes())
  return g
end

local AXIS = { Conv = 0, ConvTranspose = 1, MatMul = 1 }

-- The weight as the integer model has it, as floats; nil where the layer has none.
local function rounded_weight(t, node, bits)
  local channels = weight_channels.outputs(node)
  local entry = channels and t:get(node:input(2).name)
  if not entry or not entry.exponents then return nil end
  local axis = AXIS[node.op_type] or (node:attr("transB", 0) == 0 and 1 or 0)
  if #entry.exponents == 1 then axis = nil end
  local ints = errors.check(channels.tensor:quantize(entry.exponents, entry.bits or bits, axis))
  return errors.check(ints:dequantize(entry.exponents, axis))
end

-- --- one source at a time -------------------------------------------------------------------------------------------

local function limits(form)
  local half, step = 2.0 ^ (form.bits - 1), 2.0 ^ form.exponent
  return -half * step, (half - 1) * step
end

local function has_range(form) return form and form.bits and form.exponent end

local function clipped(x, form)
  if not has_range(form) then return x end
  local lo, hi = limits(form)
  return x:maximum(lo):minimum(hi)
end

local function rounded(x, form)
  if not has_range(form) then return x end
  return errors.check(errors.check(x:quantize({ form.exponent }, form.bits)):dequantize(form.exponent))
end

-- The order in which sources are told, and what each is.
local SOURCES = {
  { "weights", "the weights as integers, all else float" },
  { "input range", "inputs cut off where their exponents end, all else float" },
  { "input rounding", "inputs as integers, all else float" },
  { "inherited", "the inputs that the integer model has here, all else float" },
  { "output saturation", "the float result cut off where its exponent ends" },
  { "output rounding", "the float result as integers" },
  { "accumulation", "what the chip's sums, biases and rounding add to integer weights, inputs and result" },
}

local function map(list, f)
  local result = {}
  for i, x in ipairs(list) do result[i] = f(x, i) end
  return result
end

local function packed(list) return #list == 1 and list[1] or list end

local function energy(t) return (t * t):sum() end

local Sums = {}
Sums.__index = Sums

function Sums:noise(name, tensor)
  self[name] = (self[name] or 0) + energy(tensor - self.want)
end

-- Rows of a tensor (N, channels, ...), one a channel; nil where it has no channels.
local function rows_of(t)
  if t.rank < 2 then return nil end
  local perm = { 1, 0 }
  for i = 3, t.rank do perm[i] = i - 1 end
  return t:transpose(perm):reshape { t.shape[2], -1 }
end

local function add_channels(channels, want, got, form)
  local w, g = rows_of(want), rows_of(got)
  if not w then return end
  if not has_range(form) then return end
  local lo, hi = limits(form)
  local beyond = ((w - w:maximum(lo):minimum(hi)):abs() * 1e30):minimum(1)
  for c = 1, w.shape[1] do
    local row = channels[c] or { channel = c - 1, signal = 0, noise = 0, clipped = 0, count = 0, min = math.huge,
      max = -math.huge }
    local x = w:slice(c, c)
    row.signal, row.noise = row.signal + energy(x), row.noise + energy(g:slice(c, c) - x)
    row.min, row.max = math.min(row.min, x:min()), math.max(row.max, x:max())
    row.clipped, row.count = row.clipped + beyond:slice(c, c):sum(), row.count + x.count
    channels[c] = row
  end
end

-- The layer with everything that it is computed with.
local function open(model, eva, t, layer, threads)
  local function exec(graph, outputs)
    return errors.check(core.executor(graph, { threads = threads, outputs = outputs }))
  end
  local names = map(layer.inputs, function(value) return not value.is_input and value.name or nil end)
  local run, inner = { forms = {}, layer = layer }, {}
  for i, value in ipairs(layer.inputs) do
    run.forms[i] = eva.simulation.form(eva, value.name)
    if not value.is_input and (not names[i] or not eva.graph:value(value.name)) then
      errors.raise("unsupported", ("%s: the integer model has no tensor '%s', which it reads; optimize the model first")
        :format(layer.node:label(), value.name))
    end
    if not value.is_input then inner[#inner + 1] = value.name end
  end
  inner[#inner + 1] = layer.output.name
  run.float, run.integer = exec(model, inner), exec(eva.graph, inner)
  local weight = rounded_weight(t, layer.node, eva.bits)
  run.alone = exec(alone(model, layer))
  run.weighted = weight and exec(alone(model, layer, weight)) or run.alone
  run.has_weight = weight ~= nil
  return run
end

-- The tensors of the layer's inputs, from outputs of an executor and the batch.
local function inputs_of(run, model, outputs, batch)
  local k = 0
  return map(run.layer.inputs, function(value)
    if not value.is_input then
      k = k + 1
      return outputs[k]
    end
    for i, input in ipairs(model.inputs) do
      if input.name == value.name then return type(batch) == "table" and batch[i] or batch end
    end
  end)
end

local function add_batch(sums, run, model, eva, batch)
  local form, layer = run.layer.form, run.layer
  local float, ints = errors.check(run.float:run(batch)), errors.check(run.integer:run(batch))
  local x = inputs_of(run, model, float, batch)
  local got = eva.simulation.to_float(eva, ints[#ints], layer.output.name)
  local function compute(exec, inputs) return errors.check(exec:run(packed(inputs)))[1] end
  sums.want = float[#float]
  local real = map(inputs_of(run, model, ints, batch), function(tensor, i)
    local value = layer.inputs[i]
    return value.is_input and rounded(tensor, run.forms[i]) or eva.simulation.to_float(eva, tensor, value.name)
  end)
  sums.signal = (sums.signal or 0) + energy(sums.want)
  sums:noise("all", got)
  if run.has_weight then sums:noise("weights", compute(run.weighted, x)) end
  sums:noise("input range", compute(run.alone, map(x, function(tensor, i) return clipped(tensor, run.forms[i]) end)))
  sums:noise("input rounding", compute(run.alone, map(x, function(tensor, i) return rounded(tensor, run.forms[i]) end)))
  sums:noise("inherited", compute(run.alone, real))
  sums:noise("output saturation", clipped(sums.want, form))
  sums:noise("output rounding", rounded(sums.want, form))
  local ideal = rounded(compute(run.weighted, real), form)
  sums.accumulation = (sums.accumulation or 0) + energy(got - ideal)
  add_channels(sums.channels, sums.want, got, form)
end

-- --- the facts ------------------------------------------------------------------------------------------------------

local function ratio(signal, noise)
  return noise > 0 and signal > 0 and 10 * math.log(signal / noise, 10) or json.null
end

local function channels_of(sums, node)
  local weights, list = weight_channels.outputs(node), json.array()
  local reach = weights and weights:reach() or {}
  table.sort(sums.channels, function(a, b) return a.noise > b.noise or a.noise == b.noise and a.channel < b.channel end)
  for i = 1, math.min(#sums.channels, MOST_CHANNELS) do
    local row = sums.channels[i]
    list[i] = {
      channel = row.channel, snr = ratio(row.signal, row.noise), min = row.min, max = row.max,
      share = sums.all > 0 and row.noise / sums.all or 0, clipped = row.clipped / row.count,
      weight = reach[row.channel + 1] or json.null,
    }
  end
  return list
end

--- The facts of a layer: { layer =, op =, output =, exponent =, bits =, snr = (dB, json.null without any noise),
--- sources = { { name =, text =, snr = } }, main = the name of the worst source, channels = { { channel = (from 0),
--- snr =, share = of the noise, min =, max =, clipped = share, weight = largest } }, the worst ones }, from = the
--- layer that makes its first input, or nil }. `data` is a dataset, `settings` are options of a Calibrator. Raises.
function M.of(model, data, name, settings)
  local node, options = find(model, name), { log = function() end }
  for key, value in pairs(settings) do options[key] = value end
  local t = errors.check(Calibrator(options):measure_table(model, data))
  local eva = Evaluator(gain.simulation(settings))
  eva:generate_quantized_model(model, t)
  local layer = layer_of(eva, node)
  local run, sums = open(model, eva, t, layer, settings.threads), setmetatable({ channels = {} }, Sums)
  for batch in data:batches() do add_batch(sums, run, model, eva, batch) end
  for _, key in ipairs { "float", "integer", "alone", "weighted" } do run[key]:close() end
  local facts = {
    layer = layer.node.name, op = layer.node.op_type, output = layer.output.name,
    exponent = layer.form.exponent or json.null, bits = layer.form.bits, snr = ratio(sums.signal, sums.all),
    sources = json.array(),
    channels = channels_of(sums, layer.node),
  }
  local worst = 0
  for _, source in ipairs(SOURCES) do
    local noise = sums[source[1]]
    if noise then
      facts.sources[#facts.sources + 1] = { name = source[1], text = source[2], snr = ratio(sums.signal, noise) }
      if noise > worst then worst, facts.main = noise, source[1] end
    end
  end
  local first = layer.inputs[1]
  local maker = first and first.producer
  facts.from = maker and (maker.name ~= "" and maker.name or first.name) or nil
  facts.reads_model_input = first ~= nil and first.is_input
  return facts
end

return M
