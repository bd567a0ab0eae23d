--- The facts of a report: a model, data, and what several configurations make of them.
---
---     local facts = collect(model, data, { configs = { { bits = "int8", granularity = "per-channel" } } })
---
--- Plain tables, ready for JSON; infinite ratios are null.

local cause = require "espquant.report.cause"
local configuration = require "espquant.report.configuration"
local core = require "espquant.core"
local errors = require "espquant.errors"
local json = require "espquant.json"
local memory = require "espquant.memory"
local size = require "espquant.size"
local tensors = require "espquant.report.tensors"
local version = require "espquant.version"

local function shape_of(value)
  local list = json.array()
  for i, d in ipairs(value.shape or {}) do list[i] = d or json.null end
  return list
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

-- Constants that are float32, of the whole model.
local function count_parameters(model)
  local count = 0
  for _, value in ipairs(model:values()) do
    if value.constant and value.dtype == "float32" then count = count + value.constant.count end
  end
  return count
end

-- Adds what the configurations make of the model; raises the first one's refusal where all are refused.
local function add_configurations(facts, model, data, options)
  local refusal
  for i, config in ipairs(options.configs) do
    local result, sums, tables = configuration(model, data, options.labels, config, options.threads)
    facts.configs[i] = result
    if result.refused then refusal = refusal or tables
    else
      result.worst = cause.worst(model, facts, config, tables, options)
      facts.images = sums.images
      facts.float_accuracy = options.labels and sums.float_right / sums.images or json.null
    end
  end
  if not facts.images and refusal then error(refusal, 0) end
end

--- `options`: configs (a list of tables for Calibrator: bits, granularity, method, runtime, target, observer; and
--- accumulator), labels (an int64 tensor or nil), threads, name, path, data_path (texts to show), data_words (the
--- options that name the data, for commands to try next). A configuration that
--- the model cannot take has `refused` in place of figures. Raises error objects, also where all are refused.
return function(model, data, options)
  local facts = {
    tool = "espquant " .. version, isa = core.isa(), name = options.name, path = options.path or json.null,
    data = options.data_path or json.null, inputs = #model.inputs, configs = json.array(),
    model_hash = core.sha256(errors.check(core.onnx_encode(model))),
    nodes = nodes_of(model), timeline = timeline_of(model), tensors = tensors(model, data, options.threads),
    parameters = count_parameters(model), macs = (size.total_macs(model)),
  }
  add_configurations(facts, model, data, options)
  return facts
end
