--- Can this model be quantized? Every reason that it cannot, at once.
---
---     local ok, message, code, problems = check(graph, "chip", "calibrator")
---
--- A problem is `{node=, op=, output=, shapes=, cause=, remedy=, message=}`; message holds all of it. In "original"
--- mode the message is the original's lines, one for each operator type that it does not know. Roles: "calibrator" and
--- "evaluator", which differ in "original" mode, and "table": what calibration needs besides check_model's answer.

local core = require "espquant.core"
local shape_text = require "espquant.shape".text

local function shapes_text(node)
  local parts = {}
  for _, input in ipairs(node.inputs) do parts[#parts + 1] = input and shape_text(input.shape) or "-" end
  return table.concat(parts, ", ") .. " -> " .. shape_text(node:output(1) and node:output(1).shape)
end

-- `why`: the cause and, after the first semicolon, the remedy.
local function problem(node, why)
  local cause, remedy = why:match "^(.-); (.*)$"
  return {
    node = node.name, op = node.op_type, output = node:output(1) and node:output(1).name, shapes = shapes_text(node),
    cause = cause or why, remedy = remedy, message = ("%s (%s): %s"):format(node:label(), shapes_text(node), why),
  }
end

-- --- the chip -------------------------------------------------------------------------------------------------------

-- A constant of arithmetic that holds NaN or infinity would make its exponent meaningless.
local function bad_constant(node)
  for _, input in ipairs(node.inputs) do
    if input and input.constant and input.dtype == "float32" and not input.constant:isfinite() then
      return ("its constant '%s' holds NaN or infinity; train or export the model anew"):format(input.name)
    end
  end
end

local function bad_input(node)
  for _, input in ipairs(node.inputs) do
    if input and input.is_input and not input.constant and input.dtype ~= "float32" then
      return ("the model's input '%s' has type %s; export the model with an input of float32"):format(input.name,
        input.dtype)
    end
  end
end

local function chip_problems(graph)
  local list = {}
  for node in graph:nodes() do
    local why = node:why_not() or bad_constant(node) or bad_input(node)
    if why then list[#list + 1] = problem(node, why) end
  end
  return list
end

-- --- the original ---------------------------------------------------------------------------------------------------

local UNKNOWN_TO_ORIGINAL = "the original toolkit does not know it; use mode \"chip\""

-- The original refuses types only, one line for each in order of first appearance.
local function unknown_types(graph, role)
  local lines, problems, seen = {}, {}, {}
  for node in graph:nodes() do
    local op = core.op(node.op_type, node.domain)
    if not (op and op.v1[role]) then
      problems[#problems + 1] = problem(node, node:why_not() or UNKNOWN_TO_ORIGINAL)
      if not seen[node.op_type] then
        seen[node.op_type], lines[#lines + 1] = true, ("%s is not supported on esp-dl yet"):format(node.op_type)
      end
    end
  end
  if #lines > 0 then lines[#lines + 1] = "current model is not supported by esp-dl" end
  return lines, problems
end

-- Parameters that the original reads as constants: it fails without a message where they are computed.
local function computed_parameter(node)
  local op = core.op(node.op_type, node.domain)
  local indexes = node.op_type == "PRelu" and { 1 } or { op.weight, op.bias }
  for _, index in ipairs(indexes) do
    local input = index >= 0 and node:input(index + 1)
    if input and not input.constant then
      return ("its parameter '%s' is computed at run time; only constants can be quantized"):format(input.name)
    end
  end
end

-- What stops the original's calibration with an exception; its type check has no answer to these.
local function activation_on_input(node)
  local op = core.op(node.op_type, node.domain)
  local input = node:input(1)
  if op.v1.activation and input and not input.producer then
    local why = "it reads the model's input '%s' directly; put an operator between, or use mode \"chip\""
    return why:format(input.name), "'NoneType' object has no attribute 'op_type'"
  end
end

local function concat_of_constant(node)
  if node.op_type ~= "Concat" then return end
  for _, input in ipairs(node.inputs) do
    if input.constant then
      return ("its input '%s' is a constant; use mode \"chip\""):format(input.name), "list index out of range"
    end
  end
end

local function alpha_of_zero(node)
  if node.op_type == "LeakyRelu" and node:has_attr "alpha" and node:attr "alpha" == 0 then
    return "its alpha is 0; use Relu", "float division by zero"
  end
end

local CALIBRATION_STOPS = { activation_on_input, concat_of_constant, alpha_of_zero }

local function calibration_stops(graph)
  local lines, problems = {}, {}
  if #graph.inputs > 1 then
    lines[1] = ("Model requires %d inputs. Input Feed contains 1"):format(#graph.inputs)
  end
  for node in graph:nodes() do
    for _, rule in ipairs(CALIBRATION_STOPS) do
      local why, text = rule(node)
      if why then lines[#lines + 1], problems[#problems + 1] = text, problem(node, why) end
    end
  end
  return lines, problems
end

local function original_problems(graph, role)
  local lines, problems = unknown_types(graph, role == "table" and "calibrator" or role)
  if #lines > 0 then return lines, problems end
  if role == "table" then lines, problems = calibration_stops(graph) end
  for node in graph:nodes() do
    local why = computed_parameter(node)
    if why then problems[#problems + 1] = problem(node, why) end
  end
  return lines, problems
end

-- --- both -----------------------------------------------------------------------------------------------------------

-- Arity, attributes, order and shapes, which all else takes for granted; of a copy, since a question changes nothing.
-- Operators that nobody knows are told by name below.
local function well_formed(graph)
  local copy, message, code = graph:clone()
  if not copy then return nil, message, code end
  local ok
  ok, message, code = copy:check()
  if not ok and code ~= "unsupported" then return nil, message, code end
  return copy:infer_shapes()
end

--- True, or nil, message, code, problems. The code is "unsupported", or "format" for a model that is not well-formed.
return function(graph, mode, role)
  local ok, message, code = well_formed(graph)
  if not ok then return nil, message, code, { { message = message, cause = message } } end
  local lines, problems
  if mode == "original" then lines, problems = original_problems(graph, role)
  else lines, problems = {}, chip_problems(graph) end
  if #lines == 0 and #problems == 0 then return true end
  if #lines == 0 then
    lines[1] = ("%d node%s of the model cannot be quantized"):format(#problems, #problems == 1 and "" or "s")
  end
  return nil, table.concat(lines, "\n"), "unsupported", problems
end
