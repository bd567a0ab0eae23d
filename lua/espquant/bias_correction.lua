--- Bias correction: a float model whose biases make up for the mean error of its integer form.
---
---     local corrected, layers = bias_correction.run(model, data, { bits = "int8", runtime = "v3" })
---     for _, row in ipairs(layers) do print(row.layer, row.shift) end
---
--- Rounding weights, and rounding down, shift the mean of every output channel. Layer by layer, in the order of the
--- graph, the integer model runs over the data with the biases that are corrected so far; what a channel's mean lacks
--- to the float model's is added to its bias. Behind a Relu the mean is taken, over the share of numbers that pass it:
--- that is what the next layer reads. Conv, ConvTranspose and Gemm are corrected; one without a bias gets one.

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local core = require "espquant.core"
local errors = require "espquant.errors"
local gain = require "espquant.gain"
local pass = require "espquant.pass"
local progress = require "espquant.progress"
local weight_channels = require "espquant.weight_channels"

local M = {}

local HAS_BIAS = { Conv = true, ConvTranspose = true, Gemm = true }
local LEAST_SHARE = 0.05 -- of numbers that pass a Relu; below, a channel says too little

-- The tensor whose mean is compared: behind a Relu that alone reads the layer's.
local function compared(node)
  local out = node:output(1)
  local users = out:users()
  local relu = #users == 1 and out:use_count() == 1 and users[1].op_type == "Relu" and users[1].domain == ""
  return relu and users[1]:output(1) or out, relu
end

-- The layer of a node: { node =, channels =, tensor = name, relu = }; nil where its bias cannot be corrected.
local function layer_of(node)
  local channels = HAS_BIAS[node.op_type] and weight_channels.outputs(node)
  if not channels or node:attr("beta", 1.0) ~= 1.0 then return nil end
  local bias = node:input(3)
  local is_plain = not bias or (bias.constant and bias.dtype == "float32" and bias.constant.count == channels.count)
  local value, relu = compared(node)
  local shape = value.shape
  if not is_plain or not shape or #shape < 2 or shape[2] ~= channels.count then return nil end
  return { node = node, channels = channels.count, tensor = value.name, relu = relu, rank = #shape }
end

local function layers_of(graph)
  local list = {}
  for _, node in ipairs(graph:node_list()) do
    local layer = layer_of(node)
    if layer then
      list[#list + 1] = layer
      if not node:input(3) then pass.set_constant(graph, node, 3, core.tensor { layer.channels }, "bias") end
    end
  end
  return list
end

-- Adds a tensor (N, channels, ...) to the sums per channel, and how many numbers are above 0.
local function add(sums, t, layer)
  local perm = { 1, 0 }
  for i = 3, layer.rank do perm[i] = i - 1 end
  local rows = t:transpose(perm):reshape { layer.channels, -1 }
  local positive = (rows * 1e30):maximum(0):minimum(1)
  sums.count = (sums.count or 0) + rows.shape[2]
  for c = 1, layer.channels do
    sums[c] = (sums[c] or 0) + rows:slice(c, c):sum()
    sums.passed[c] = (sums.passed[c] or 0) + positive:slice(c, c):sum()
  end
end

-- The sums of each layer over the data; run(batch) gives their tensors.
local function measure(data, layers, run)
  local all = {}
  for i = 1, #layers do all[i] = { passed = {} } end
  for batch in data:batches() do
    local tensors = run(batch)
    for i, layer in ipairs(layers) do add(all[i], tensors[i], layer) end
  end
  return all
end

local function names_of(layers)
  local names = {}
  for i, layer in ipairs(layers) do names[i] = layer.tensor end
  return names
end

local function float_sums(graph, data, layers, threads)
  local exec <close> = errors.check(core.executor(graph, { threads = threads, outputs = names_of(layers) }))
  return measure(data, layers, function(batch) return errors.check(exec:run(batch)) end)
end

-- Of one layer in the integer model of the graph as it is now; nil where that has no such tensor.
local function integer_sums(graph, t, data, layer, settings)
  local options = gain.simulation(settings)
  options.outputs = { layer.tensor }
  local eva = Evaluator(options)
  eva:generate_quantized_model(graph, t)
  local sums = measure(data, { layer }, function(batch) return eva:evaluate_quantized_model(batch, true) end)[1]
  eva.exec:close()
  return sums
end

-- Adds to the layer's bias what its means lack; returns the largest number added.
local function correct(graph, layer, want, got)
  local shifts, largest = {}, 0.0
  for c = 1, layer.channels do
    local share = layer.relu and got.passed[c] / got.count or 1
    local shift = (want[c] - got[c]) / got.count
    shifts[c] = share >= LEAST_SHARE and shift == shift and math.abs(shift) < math.huge and shift / share or 0.0
    largest = math.max(largest, math.abs(shifts[c]))
  end
  local bias = layer.node:input(3).constant
  local new = bias + core.tensor_from(shifts, "float32", bias.shape)
  if new:isfinite() then pass.set_constant(graph, layer.node, 3, new, "bias") end
  return largest
end

--- A copy of the model with corrected biases, and a list of { layer = name of a node, shift = the largest number that
--- was added }. `data` is a dataset of the model, `settings` are options of a Calibrator. Raises.
function M.run(model, data, settings)
  local graph = errors.check(model:clone())
  errors.check(graph:infer_shapes())
  local layers, rows = layers_of(graph), {}
  local options = { log = function() end }
  for key, value in pairs(settings) do options[key] = value end
  local t = errors.check(Calibrator(options):measure_table(graph, data))
  local want = float_sums(model, data, layers, settings.threads)
  local bar <close> = progress.new { title = "biases", total = #layers }
  for i, layer in ipairs(layers) do
    local got = integer_sums(graph, t, data, layer, settings)
    rows[i] = { layer = layer.node.name, shift = correct(graph, layer, want[i], got) }
    bar:update(i)
  end
  return graph, rows
end

return M
