--- The worst layers of a configuration, each with the likely cause and the command to try next.
---
---     for _, w in ipairs(cause.worst(model, facts, config, tables, options)) do print(w.cause, w.command) end
---
--- A layer counts where its ratio of signal to noise is below 30 dB and more than 3 dB below that of its inputs: what
--- only hands on an error is not listed. A layer whose result only a Relu or a Clip reads is judged behind that: what
--- it cuts away does no harm before it. Causes are looked for in this order: the model's input is cut off; values are
--- cut off; one scale does not suit all channels of the weight; a few large values take up the range; the width is too
--- small.

local json = require "espquant.json"
local shell = require "espquant.shell"
local v3_target = require "espquant.quant.v3.target"

local M = {}

local ENOUGH = 30 -- dB
local MOST = 10 -- layers
local INHERITED = 3 -- dB that a layer may lose of what comes in
local CLEAN = 60 -- dB: better than what 8 bits can hand on
local CUT_OFF = 0.005 -- share of saturated elements
local SPREAD = 8 -- largest channel of a weight over the middle one
local ACTIVATIONS = { Relu = true, Clip = true }
local NARROW = 0.25 -- share of the range that all but a thousandth of the elements need

local function snr_of(layers, name)
  local row = layers[name]
  if not row then return math.huge end
  return row.snr == json.null and math.huge or row.snr
end

-- The activation behind each node whose result nothing else reads: node's output -> activation, and those as a set.
local function activations_of(model)
  local behind, is_behind = {}, {}
  for node in model:nodes() do
    local x = ACTIVATIONS[node.op_type] and node:input(1)
    local is_only = x and x.producer and x:use_count() == 1 and not ACTIVATIONS[x.producer.op_type]
    if is_only then behind[x.name], is_behind[node:output(1).name] = node, true end
  end
  return behind, is_behind
end

-- The least ratio of a node's inputs. `ratios` has that of every tensor so far.
local function worst_input(node, ratios)
  local least = math.huge
  for _, input in ipairs(node.inputs) do least = math.min(least, input and ratios[input.name] or math.huge) end
  return least
end

-- The ratio of every tensor; one that is no layer of its own has the least of what it is made from.
local function ratios_of(model, layers)
  local ratios = {}
  for node in model:nodes() do
    for _, output in ipairs(node.outputs) do
      local name = output and output.name
      if name then ratios[name] = layers[name] and snr_of(layers, name) or worst_input(node, ratios) end
    end
  end
  return ratios
end

local function name_of(node) return node.name ~= "" and node.name or node:output(1).name end

-- Largest channel over the middle one; 1 without a weight.
local function spread_of(node)
  local weight = node:input(2)
  local is_weight = (node.op_type == "Conv" or node.op_type == "Gemm") and weight and weight.constant
  if not is_weight or weight.constant.dtype ~= "float32" then return 1 end
  local axis = node.op_type == "Gemm" and node:attr("transB", 0) == 0 and 1 or 0
  local list = weight.constant:maxabs(axis):totable()
  table.sort(list)
  local middle = list[(#list + 1) // 2]
  return middle > 0 and list[#list] / middle or 1
end

-- The share of the range that all but a thousandth of the elements need.
local function used_range(tensor)
  if not tensor or #tensor.counts == 0 then return 1 end
  local total, reach = 0, math.max(math.abs(tensor.lo), math.abs(tensor.hi))
  for _, n in ipairs(tensor.counts) do total = total + n end
  local step, needed, outside = (tensor.hi - tensor.lo) / #tensor.counts, {}, 0
  for i, n in ipairs(tensor.counts) do
    local lo = tensor.lo + (i - 1) * step
    needed[i] = { reach = math.max(math.abs(lo), math.abs(lo + step)), n = n }
  end
  table.sort(needed, function(a, b) return a.reach > b.reach end)
  for _, bin in ipairs(needed) do
    outside = outside + bin.n
    if outside > total / 1000 then return bin.reach / reach end
  end
  return 1
end

local quoted = shell.quoted

-- The start of a command on the same model and data, with the options that the report was made with.
local function start(command, config, options)
  local words = { command, quoted(options.path or "MODEL"), options.data_words or "--data DATA" }
  for _, key in ipairs { "runtime", "target", "bits", "granularity", "method", "observer" } do
    if config[key] then words[#words + 1] = "--" .. key .. " " .. config[key] end
  end
  return table.concat(words, " ")
end

-- Calibrates anew.
local function calibrate(config, options) return start("espquant calibrate", config, options) end

-- Makes the channels of weights alike, and tells what that gains.
local function equalize(config, options) return start("espquant optimize --equalize", config, options) end

--- As above: the start of any command.
M.command = start

local function with(config, changes)
  local new = {}
  for key, value in pairs(config) do new[key] = value end
  for key, value in pairs(changes) do new[key] = value or nil end
  return new
end

-- More bits: for the layer, where the runtime can mix widths, else for all; beyond int16 only v3 has something.
local function widen(node, config, options)
  if config.runtime == "v3" then
    local wider = config.bits == "int16" and " --float " or " --int16 "
    return calibrate(config, options) .. wider .. quoted(name_of(node))
  end
  local runtime = config.bits == "int16" and "v3" or nil
  return calibrate(with(config, { bits = "int16", granularity = false, method = false, runtime = runtime }), options)
end

M.with, M.widen = with, widen

local function cut_off(row, node, config, options)
  local text = ("%.2g %% of its values lie beyond what its exponent holds and are cut off"):format(100 * row.saturated)
  if config.runtime == "v3" and config.observer ~= "minmax" then
    return text, calibrate(with(config, { observer = "minmax" }), options)
  elseif config.method == "entropy" then
    return text, calibrate(with(config, { method = "minmax" }), options)
  end
  return text, widen(node, config, options)
end

-- A graph input of the node that goes beyond what its exponent holds: name, reach, limit.
local function clipped_input(node, facts, exponents, bits)
  for _, input in ipairs(node.inputs) do
    local t = input and input.is_input and facts.tensors[input.name]
    local e = t and exponents[input.name]
    if e and t.max ~= json.null and t.min ~= json.null then
      local reach, limit = math.max(-t.min, t.max), 2.0 ^ (e + bits - 1)
      if reach > limit * 1.01 then return input.name, reach, limit end
    end
  end
end

-- Whether the chip has an exponent for each channel of a weight.
local function has_many_scales(config) return v3_target.of(config.target or "esp32s3").per_channel end

local function explain(node, row, tensor, facts, tables, config, options)
  local name, reach, limit = clipped_input(node, facts, tables.exponents, tables.bits)
  if name then
    return ("The model's input '%s' reaches %.3g, but its exponent holds %.3g: what is beyond is cut off"):format(name,
      reach, limit), calibrate(config, options)
        .. (config.runtime == "v3" and " --observer minmax" or " --input-exponent measured")
  end
  if row.saturated > CUT_OFF then return cut_off(row, node, config, options) end
  local spread = spread_of(node)
  if spread > SPREAD and config.granularity == "per-tensor" and config.bits == "int8" then
    return ("The largest channel of its weight is %.0f times the middle one, and they share one scale"):format(spread),
      calibrate(with(config, { granularity = "per-channel" }), options)
  end
  if spread > SPREAD and config.runtime == "v3" and config.bits == "int8" and not has_many_scales(config) then
    return ("The largest channel of its weight is %.0f times the middle one, and they share one scale"):format(spread),
      equalize(config, options)
  end
  local used = used_range(tensor)
  if used < NARROW and config.method == "minmax" and config.bits == "int8" then
    return ("All but a thousandth of its values need %.0f %% of its range: a few large ones make its steps coarse")
      :format(100 * used), calibrate(with(config, { method = "entropy" }), options)
  end
  if config.bits == "int16" then
    return "Its values differ too much in size even for 16 bits", widen(node, config, options)
  end
  return "8 bits are too coarse for its values", widen(node, config, options)
end

--- A list of { node = its number among facts.nodes, snr, loss (dB below its inputs), cause, command }, the largest loss
--- first. `config` are the options of the Calibrator, `facts` the report's; tables: layers, exponents of the model's
--- inputs by name, and bits of this configuration; options: path, data_words (the options that name the data).
function M.worst(model, facts, config, tables, options)
  local list, first, layers = {}, #model.inputs, tables.layers
  local behind, is_behind = activations_of(model)
  local ratios = ratios_of(model, layers)
  for i, node in ipairs(model:node_list()) do
    local own = node:output(1).name
    local name = behind[own] and layers[behind[own]:output(1).name] and behind[own]:output(1).name or own
    local snr = snr_of(layers, name)
    local loss = math.min(worst_input(node, ratios), CLEAN) - snr -- 60 dB of the inputs count as clean
    if not is_behind[own] and snr < ENOUGH and loss > INHERITED then
      local why, command = explain(node, layers[name], facts.tensors[name], facts, tables, config, options)
      list[#list + 1] = { node = first + i, snr = snr, loss = loss, cause = why, command = command }
    end
  end
  table.sort(list, function(a, b) return a.loss > b.loss or a.loss == b.loss and a.node < b.node end)
  return json.array(table.move(list, 1, math.min(#list, MOST), 1, {}))
end

return M
