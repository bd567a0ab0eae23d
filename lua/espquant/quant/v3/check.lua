--- Can this model be quantized for ESP-DL v3? Every reason that it cannot, at once.
---
---     local ok, message, code, problems = check(graph, { bits = 8, target = "esp32p4", layers = })
---
--- A problem is one of quant/problem.lua: node, operator, shapes, cause, remedy.

local core = require "espquant.core"
local prepare = require "espquant.quant.v3.prepare"
local problem = require "espquant.quant.problem"
local restrictions = require "espquant.quant.v3.restrictions"
local roles = require "espquant.quant.v3.roles"
local widths = require "espquant.quant.v3.widths"

local rule = roles.rule

-- --- any operator ----------------------------------------------------------------------------------------------------

local function own_fault(node)
  local text, code = node:fault()
  if not text then return nil end
  local label = node:label() .. ": "
  if text:sub(1, #label) == label then text = text:sub(#label + 1) end
  return text:find("; ", 1, true) and text or text .. "; correct the node, or export the model anew", code == "format"
end

local function unknown_operator(node)
  if core.op(node.op_type, node.domain) and rule(node).registered then return nil end
  return restrictions.reason(node) or restrictions.unregistered(node.op_type)
end

local function not_finite(node)
  for _, value in roles.inputs(node) do
    if value.constant and not value.constant:isfinite() then
      return ("its constant '%s' holds NaN or infinity; train or export the model anew"):format(value.name)
    end
  end
end

-- The chip's kernels know shapes when the model is loaded, and have one image at a time.
local function open_shape(node)
  for _, value in ipairs(node.inputs) do
    for i, d in ipairs(value and value.is_input and not value.constant and value.shape or {}) do
      if i > 1 and math.type(d) ~= "integer" then
        return ("dimension %d of the model's input '%s' is not fixed; give it a number"):format(i - 1, value.name)
      end
    end
  end
end

local function other_input(node)
  for _, value in ipairs(node.inputs) do
    if value and value.is_input and not value.constant and value.dtype ~= "float32" then
      return ("the model's input '%s' has type %s; export the model with an input of float32"):format(value.name,
        value.dtype)
    end
  end
end

local function only_constants(node)
  for _, value in ipairs(node.inputs) do
    if value and not value.constant then return nil end
  end
  return "it computes with nothing but constants; fold it into one (core.fold_constants)"
end

-- --- single operators ------------------------------------------------------------------------------------------------

-- Inputs that the kernels read as constants.
local PARAMETERS = {
  Conv = { 2, 3 }, Gemm = { 2, 3 }, ConvTranspose = { 2, 3 }, Clip = { 2, 3 }, Pad = { 2, 3 }, PRelu = { 2 },
  GRU = { 2, 3, 4 }, LSTM = { 2, 3, 4 }, LayerNormalization = { 2, 3 }, RMSNormalization = { 2 },
  Reshape = { 2 }, Slice = { 2, 3, 4, 5 }, Split = { 2 }, Squeeze = { 2 }, Unsqueeze = { 2 },
}

local function computed_parameter(node)
  for _, i in ipairs(PARAMETERS[node.op_type] or {}) do
    local value = node:input(i)
    if value and not value.constant then
      return ("its parameter '%s' is computed at run time; simplify the model so that it is a constant"):format(
        value.name)
    end
  end
end

local REASONS = {
  unknown_operator, computed_parameter, restrictions.reason, not_finite, only_constants, open_shape, other_input,
}

local function reason_of(node)
  for _, reason in ipairs(REASONS) do
    local why = reason(node)
    if why then return why end
  end
end

-- --- all -------------------------------------------------------------------------------------------------------------

local function problems_of(graph)
  local problems, is_invalid = {}, false
  for node in graph:nodes() do
    local why, breaks = own_fault(node)
    why, is_invalid = why or reason_of(node), is_invalid or breaks
    if why then problems[#problems + 1] = problem(node, why) end
  end
  return problems, is_invalid
end

--- True, or nil, message, code, problems. The code is "unsupported", or "format" for a model that is not valid.
return function(graph, options)
  local prepared, message, code, problems = prepare(graph)
  if not prepared then return nil, message, code, problems or { { message = message, cause = message } } end
  local is_invalid, found
  found, message, code, problems = widths.resolve(prepared, options.bits, options.layers)
  if not found then return nil, message, code, problems end
  problems, is_invalid = problems_of(prepared)
  if #problems == 0 then return true end
  local text = ("%d node%s of the model cannot be quantized"):format(#problems, #problems == 1 and "" or "s")
  return nil, text, is_invalid and "format" or "unsupported", problems
end
