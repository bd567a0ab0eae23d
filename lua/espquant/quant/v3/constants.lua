--- Exponents of constants in ESP-DL v3: those that are measured, and those that others decide.
---
---     local measured = constants.measure(graph, widths, settings, target)   -- a list of constants
---     constants.fake_quantize(copy, measured, target.rounding)              -- the graph that calibration runs
---
--- A constant is { node =, index =, value =, role =, bits =, exponents =, axis = or nil }. Weights have one exponent
--- per output channel where the chip's kernels take several, by their range; all else one by the observer of weights.

local observe = require "espquant.quant.v3.observe"
local roles = require "espquant.quant.v3.roles"

local M = {}

local MEASURED = { weight = true, constant = true, aligned = true }

local function exponents_of(constant, target, wanted)
  local tensor, bits = constant.value.constant, constant.bits
  if constant.role == "weight" and target.per_channel then
    constant.axis = roles.weight_axis(constant.node)
    return observe.channels(tensor, constant.axis, bits, wanted or "minmax")
  end
  return { observe.weight(tensor, bits, observe.of_weight(bits, wanted)) }
end

--- The constants of the graph that have an exponent of their own while it is calibrated. `settings` are those of
--- quant/v3/widths.lua, `observer` what all weights get where these say nothing (nil: the default).
function M.measure(graph, widths, settings, target, observer)
  local list = {}
  for node in graph:nodes() do
    for i, value, role in roles.inputs(node) do
      if widths[node] and value.constant and MEASURED[role] then
        local constant = { node = node, index = i, value = value, role = role, bits = widths[node] }
        local own = settings[node] and settings[node].weight_observer
        constant.exponents = exponents_of(constant, target, own or observer)
        list[#list + 1] = constant
      end
    end
  end
  return list
end

--- Problems of constants that hold NaN or infinity.
function M.problems(graph, widths)
  local problems = {}
  for node in graph:nodes() do
    for _, value in roles.inputs(node) do
      if widths[node] and value.constant and not value.constant:isfinite() then
        local text = "%s: its constant '%s' holds NaN or infinity; train or export the model anew"
        problems[#problems + 1] = text:format(node:label(), value.name)
      end
    end
  end
  return problems
end

--- Replaces the constants of `copy`, a clone of their graph, by what is left of them once they are quantized.
function M.fake_quantize(copy, list, rounding)
  for _, constant in ipairs(list) do
    local q = constant.value.constant:quantize(constant.exponents, constant.bits, constant.axis, rounding)
    copy:value(constant.value.name):set_constant(q:dequantize(constant.exponents, constant.axis))
  end
end

return M
