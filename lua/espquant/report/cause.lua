--- The worst layers of a configuration, each with the likely cause and the command to try next.
---
---     for _, w in ipairs(cause.worst(model, facts, config, tables, options)) do print(w.cause, w.command) end
---
--- A layer counts where its ratio of signal to noise is below 30 dB and more than 3 dB below that of its inputs: what
--- only hands on an error is not listed. Causes are looked for in this order: the model's input is cut off; values are
--- cut off; one scale does not suit all channels of the weight; a few large values take up the range; the width is too
--- small.

local json = require "espquant.json"

local M = {}

local ENOUGH = 30 -- dB
local MOST = 10 -- layers
local INHERITED = 3 -- dB that a layer may lose of what comes in
local CLEAN = 60 -- dB: better than what 8 bits can hand on
local CUT_OFF = 0.005 -- share of saturated elements
local SPREAD = 8 -- largest channel of a weight over the middle one
local NARROW = 0.25 -- share of the range that all but a thousandth of the elements need

local function snr_of(layers, name)
  local row = layers[name]
  if not row then return math.huge end
  return row.snr == json.null and math.huge or row.snr
end

-- The least ratio of the inputs.
local function worst_input(node, layers)
  local least = math.huge
  for _, input in ipairs(node.inputs) do
    least = math.min(least, input and not input.constant and snr_of(layers, input.name) or math.huge)
  end
  return least
end

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

local function quoted(text)
  return text:match "^[%w%._/:=,+-]+$" and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The start of a command that calibrates anew, as the report was made.
local function calibrate(config, options)
  local words = { "espquant calibrate", quoted(options.path or "MODEL"), "--data", quoted(options.data_path or "DATA") }
  for _, key in ipairs { "runtime", "target", "bits", "granularity", "method", "observer" } do
    if config[key] then words[#words + 1] = "--" .. key .. " " .. config[key] end
  end
  return table.concat(words, " ")
end

local function with(config, changes)
  local new = {}
  for key, value in pairs(config) do new[key] = value end
  for key, value in pairs(changes) do new[key] = value or nil end
  return new
end

-- More bits: for the layer, where the runtime can mix widths, else for all.
local function widen(node, config, options)
  if config.runtime == "v3" then return calibrate(config, options) .. " --int16 " .. quoted(node.name) end
  return calibrate(with(config, { bits = "int16", granularity = false, method = false }), options)
end

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

local function explain(node, row, facts, tables, config, options)
  local tensor = facts.tensors[node:output(1).name]
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
  local used = used_range(tensor)
  if used < NARROW and config.method == "minmax" and config.bits == "int8" then
    return ("All but a thousandth of its values need %.0f %% of its range: a few large ones make its steps coarse")
      :format(100 * used), calibrate(with(config, { method = "entropy" }), options)
  end
  if config.bits == "int16" then
    return "Its values differ too much in size even for 16 bits", calibrate(config, options)
  end
  return "8 bits are too coarse for its values", widen(node, config, options)
end

-- What the layer adds to the error, in dB; 60 of the inputs count as clean.
local function loss_of(node, layers, snr)
  return math.min(worst_input(node, layers), CLEAN) - snr
end

--- A list of { node = its number among facts.nodes, snr, loss (dB below its inputs), cause, command }, the largest loss
--- first. `config` are the options of the Calibrator, `facts` the report's; tables: layers, exponents of the model's
--- inputs by name, and bits of this configuration; options: path, data_path.
function M.worst(model, facts, config, tables, options)
  local list, first, layers = {}, #model.inputs, tables.layers
  for i, node in ipairs(model:node_list()) do
    local name = node:output(1).name
    local snr = snr_of(layers, name)
    local loss = loss_of(node, layers, snr)
    if snr < ENOUGH and loss > INHERITED then
      local why, command = explain(node, layers[name], facts, tables, config, options)
      list[#list + 1] = { node = first + i, snr = snr, loss = loss, cause = why, command = command }
    end
  end
  table.sort(list, function(a, b) return a.loss > b.loss or a.loss == b.loss and a.node < b.node end)
  return json.array(table.move(list, 1, math.min(#list, MOST), 1, {}))
end

return M
