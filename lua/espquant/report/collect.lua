--- The facts of a report: a model, data, and what several configurations make of them.
---
---     local facts = collect(model, data, { configs = { { bits = "int8", granularity = "per-channel" } } })
---
--- Plain tables, ready for JSON; infinite ratios are null.

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local accuracy = require "espquant.accuracy"
local cause = require "espquant.report.cause"
local core = require "espquant.core"
local errors = require "espquant.errors"
local json = require "espquant.json"
local lanes = require "espquant.quant.lanes"
local memory = require "espquant.memory"
local progress = require "espquant.progress"
local size = require "espquant.size"
local version = require "espquant.version"

local BINS = 64 -- of a histogram that is drawn

local function shape_of(value)
  local list = json.array()
  for i, d in ipairs(value.shape or {}) do list[i] = d or json.null end
  return list
end

local function finite(x)
  return x == x and math.abs(x) < math.huge and x or json.null
end

-- --- the graph ----------------------------------------------------------------------------------------------------

local function parameters_of(node)
  local count = 0
  for _, input in ipairs(node.inputs) do
    if input and input.constant then count = count + input.constant.count end
  end
  return count
end

local function names_of(values, keep)
  local list = json.array()
  for _, value in ipairs(values) do
    if value and keep(value) then list[#list + 1] = value.name end
  end
  return list
end

local function is_computed(value) return not value.constant end
local function is_constant(value) return value.constant end

-- Graph inputs are drawn like nodes, in front.
local function nodes_of(model)
  local nodes = json.array()
  for _, input in ipairs(model.inputs) do
    nodes[#nodes + 1] = {
      name = input.name, op = "Input", inputs = json.array(), weights = json.array(), macs = 0, parameters = 0,
      outputs = json.array { input.name }, shape = shape_of(input),
    }
  end
  for node in model:nodes() do
    nodes[#nodes + 1] = {
      name = node.name ~= "" and node.name or node:output(1).name, op = node.op_type,
      inputs = names_of(node.inputs, is_computed), weights = names_of(node.inputs, is_constant),
      outputs = names_of(node.outputs, is_computed), shape = shape_of(node:output(1)),
      macs = size.macs(node) or json.null, parameters = parameters_of(node),
    }
  end
  return nodes
end

local function timeline_of(model)
  local list, steps = json.array(), memory.timeline(model)
  for i, step in ipairs(steps) do list[i] = { node = #model.inputs + i, elements = step.elements, live = step.live } end
  return list
end

-- --- the float tensors --------------------------------------------------------------------------------------------

local function float_names(model)
  local names = {}
  for _, value in ipairs(model:values()) do
    local used = value.is_input or value.is_output or value:use_count() > 0
    if not value.constant and value.dtype == "float32" and used then names[#names + 1] = value.name end
  end
  return names
end

local function feed(model, data, observation, title, threads)
  local exec <close> = errors.check(core.executor(model, { threads = threads, outputs = {} }))
  local bar <close>, images = progress.new { title = title, total = data:count() }, 0
  for inputs in data:batches() do
    errors.check(exec:run(inputs, observation, false))
    images = images + (type(inputs) == "table" and #inputs[1] or #inputs)
    bar:update(images)
  end
end

-- Range and histogram of every float tensor: name -> { min, max, lo, hi, counts }.
local function tensors_of(model, data, threads)
  local names = float_names(model)
  local ranges = errors.check(core.observe_range(model, names))
  feed(model, data, ranges, "range", threads)
  local histograms = errors.check(core.observe_histogram(ranges))
  feed(model, data, histograms, "histogram", threads)
  local tensors = json.object {}
  for i, name in ipairs(names) do
    local min, max = ranges:range(i)
    local lo, hi, counts = histograms:counts(i, BINS)
    tensors[name] = {
      shape = shape_of(model:value(name)), min = finite(min), max = finite(max),
      lo = lo or json.null, hi = hi or json.null, counts = json.array(counts),
    }
  end
  return tensors
end

-- --- configurations -----------------------------------------------------------------------------------------------

local function label_of(config)
  local parts = { config.runtime or "v1", config.bits, config.granularity, config.method, config.observer,
    config.runtime == "v3" and config.target or nil, config.accumulator }
  local list = {}
  for i = 1, 7 do list[#list + 1] = parts[i] end
  return table.concat(list, " ")
end

-- Signal over noise of the graph's outputs, the least of them.
local function output_snr(model, layers)
  local least = math.huge
  for _, output in ipairs(model.outputs) do
    local row = layers[output.name]
    if row and row.snr ~= json.null then least = math.min(least, row.snr) end
  end
  return finite(least)
end

local function layers_of(report)
  local layers = json.object {}
  for _, row in ipairs(report) do
    layers[row.output] = {
      exponent = row.exponent or json.null, snr = finite(row.snr), saturated = row.saturated,
      max_error = finite(row.max_error),
    }
  end
  return layers
end

-- The exponents of weights, the coarsest and the finest of each.
local function weights_of(t)
  local weights = json.object {}
  for _, entry in ipairs(t.entries) do
    if entry.kind ~= "input" and entry.kind ~= "activation" and entry.exponents then
      local lo, hi = math.huge, -math.huge
      for _, e in ipairs(entry.exponents) do lo, hi = math.min(lo, e), math.max(hi, e) end
      weights[entry.name] = { kind = entry.kind, min = finite(lo), max = finite(hi), count = #entry.exponents }
    end
  end
  return weights
end

local function input_exponents(model, t)
  local exponents = {}
  for _, input in ipairs(model.inputs) do exponents[input.name] = t:exponent(input.name) end
  return exponents
end

-- The table's, and what can saturate.
local function warnings_of(t, saturating)
  local list = { table.unpack(t.warnings) }
  list[#list + 1] = lanes.text(saturating)
  return list
end

local function run_config(model, data, labels, config, threads)
  local options, evaluation = { threads = threads, log = function() end }, { threads = threads }
  for key, value in pairs(config) do options[key] = value end
  options.accumulator = nil
  evaluation.bits, evaluation.granularity, evaluation.runtime = config.bits, config.granularity, config.runtime
  evaluation.chip, evaluation.accumulator = config.target, config.accumulator
  local t = Calibrator(options):generate_quantization_table(model, data)
  local eva = Evaluator(evaluation)
  eva:generate_quantized_model(model, t)
  local float <close> = errors.check(core.executor(model, { threads = threads }))
  local sums = accuracy.compare(data, float, eva, labels)
  local layers, saturating = layers_of(eva:layer_report(data)), eva:saturating_layers()
  return {
    label = label_of(config), runtime = config.runtime or "v1", bits = eva.bits, layers = layers,
    accuracy = labels and sums.right / sums.images or json.null, agreement = sums.equal / sums.images,
    snr = output_snr(model, layers), weights = weights_of(t), warnings = json.array(warnings_of(t, saturating)),
    accumulator = eva.accumulator, saturating_layers = json.array(saturating),
  }, sums, { layers = layers, exponents = input_exponents(model, t), bits = eva.bits }
end

--- `options`: configs (a list of tables for Calibrator: bits, granularity, method, runtime, target, observer), labels
--- (an int64 tensor or nil), threads, name, path, data_path (texts to show). Raises error objects.
return function(model, data, options)
  local parameters, facts = 0, {
    tool = "espquant " .. version, isa = core.isa(), name = options.name, path = options.path or json.null,
    data = options.data_path or json.null, inputs = #model.inputs,
      model_hash = core.sha256(errors.check(core.onnx_encode(model))),
    nodes = nodes_of(model), timeline = timeline_of(model), configs = json.array(),
    tensors = tensors_of(model, data, options.threads),
  }
  for _, value in ipairs(model:values()) do
    if value.constant and value.dtype == "float32" then parameters = parameters + value.constant.count end
  end
  facts.parameters, facts.macs = parameters, (size.total_macs(model))
  for i, config in ipairs(options.configs) do
    local sums, tables
    facts.configs[i], sums, tables = run_config(model, data, options.labels, config, options.threads)
    facts.configs[i].worst = cause.worst(model, facts, config, tables, options)
    facts.images = sums.images
    facts.float_accuracy = options.labels and sums.float_right / sums.images or json.null
  end
  return facts
end
