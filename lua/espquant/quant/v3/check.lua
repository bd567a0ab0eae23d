--- Can this model be quantized for ESP-DL v3? Every reason that it cannot, at once.
---
---     local ok, message, code, problems = check(graph, { bits = 8, target = "esp32p4", layers = })
---
--- A problem is one of quant/problem.lua: node, operator, shapes, cause, remedy.

local core = require "espquant.core"
local prepare = require "espquant.quant.v3.prepare"
local problem = require "espquant.quant.problem"
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
  return ("ESP-DL v3 does not load the operator %s; replace it, or leave it to the application"):format(node.op_type)
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

local MAX_RANK = 4

local OPERATORS = {}

function OPERATORS.Conv(node)
  local x, shape = node:input(1), node:input(2).constant.shape
  local group, channels = node:attr("group", 1), x.shape and x.shape[2]
  if #shape > MAX_RANK then return "it is a 3-D convolution; the chip has 1-D and 2-D ones" end
  if group == 1 then return nil end
  if group ~= channels then
    return ("it has %d groups of %s channels; split it into one Conv for each group"):format(group, channels)
  end
  if shape[1] ~= channels then
    return ("its %d groups have %d channels each at the output; split it into depthwise Convs of one"):format(group,
      shape[1] // group)
  end
end

function OPERATORS.Gemm(node)
  if node:attr("transA", 0) ~= 0 then return "it transposes its input (transA); put a Transpose before it" end
end

local function recurrent(node)
  local h, x = node.op_type == "GRU", node:input(1)
  if h and node:attr("linear_before_reset", 0) == 0 then
    return "its linear_before_reset is 0, the chip's kernel has 1 only; train it so (as PyTorch does)"
  end
  if node:input(5) then return "it has lengths of sequences; the chip's kernel reads whole ones: leave them out" end
  if node:input(8) then return "it has peepholes, the chip's kernel has none; train it without" end
  for _, attribute in ipairs { "clip", "activations" } do
    if node:has_attr(attribute) then
      return ("its attribute %s is not known to the chip's kernel; train it without"):format(attribute)
    end
  end
  local batch = x.shape and x.shape[node:attr("layout", 0) == 1 and 1 or 2]
  if math.type(batch) == "integer" and batch ~= 1 then
    return ("its batch is %d; the chip takes one sequence at a time: export the model with a batch of 1"):format(batch)
  end
end
OPERATORS.GRU, OPERATORS.LSTM = recurrent, recurrent

function OPERATORS.Resize(node)
  local mode = node:attr("mode", "nearest")
  if mode == "cubic" then return "its mode is cubic; the chip has nearest and linear" end
end

function OPERATORS.Mod(node)
  if node:attr("fmod", 0) == 0 then return "its fmod is 0; the chip has fmod = 1 only" end
end

local function own_reason(node)
  local f = OPERATORS[node.op_type]
  return f and f(node)
end

local REASONS = {
  unknown_operator, computed_parameter, own_reason, not_finite, only_constants, open_shape, other_input,
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
  local is_invalid
  problems, is_invalid = problems_of(prepared)
  if #problems > 0 then
    local text = ("%d node%s of the model cannot be quantized"):format(#problems, #problems == 1 and "" or "s")
    return nil, text, is_invalid and "format" or "unsupported", problems
  end
  local found, why, kind, causes = widths.resolve(prepared, options.bits, options.layers)
  if not found then return nil, why, kind, causes end
  return true
end
