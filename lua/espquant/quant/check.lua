--- Can this model be quantized? Every reason that it cannot, at once.
---
---     local ok, message, code, problems = check(graph, "chip", "calibrator")
---
--- A problem is one of problem.lua: node, operator, shapes, cause, remedy. In "original" mode the message is the
--- original's lines, one for each operator type that it does not know, and `problems.exception` the Python exception
--- that it raises. Roles: "calibrator" and "evaluator", which differ in "original" mode, and "table": what calibration
--- needs besides check_model's answer.

local core = require "espquant.core"
local problem = require "espquant.quant.problem"

-- --- any mode -------------------------------------------------------------------------------------------------------

local FAULT_REMEDY = {
  format = "correct the node, or export the model anew",
  limit = "make the tensor smaller, or raise the limit",
}
local OTHER_REMEDY = "replace the node, or leave it to the application"

-- What is wrong with the node by itself: arity, attributes, shapes, sizes; and the code of that.
local function fault_of(node)
  local text, code = node:fault()
  if not text then return nil end
  local label = node:label() .. ": "
  if text:sub(1, #label) == label then text = text:sub(#label + 1) end
  if not text:find("; ", 1, true) then text = ("%s; %s"):format(text, FAULT_REMEDY[code] or OTHER_REMEDY) end
  return text, code
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

-- Only the batch may be open: the chip's buffers have fixed sizes.
local function open_dimension(input)
  local name = input.name
  if not input.shape then return ("the shape of the model's input '%s' is not known; give it one"):format(name) end
  for i, d in ipairs(input.shape) do
    if i > 1 and math.type(d) ~= "integer" then
      return ("dimension %d%s of the model's input '%s' is not fixed; give it a number"):format(i - 1,
        d and (" ('%s')"):format(d) or "", name)
    end
  end
end

local function bad_input(node)
  for _, input in ipairs(node.inputs) do
    if input and input.is_input and not input.constant then
      if input.dtype ~= "float32" then
        return ("the model's input '%s' has type %s; export the model with an input of float32"):format(input.name,
          input.dtype)
      end
      local why = open_dimension(input)
      if why then return why end
    end
  end
end

-- Moves and aligned arithmetic take a constant for data; all else should have been computed before.
local function constant_data(node)
  local v1 = core.op(node.op_type, node.domain).v1
  local data = node:input(1)
  if data and data.constant and not (v1.shares or v1.aligns) then
    return ("it computes with nothing but constants ('%s'); fold it into one (core.fold_constants)"):format(data.name)
  end
end

local function chip_reason(node)
  return node:why_not() or bad_constant(node) or constant_data(node) or bad_input(node)
end

-- --- the original ---------------------------------------------------------------------------------------------------

local UNKNOWN_TO_ORIGINAL = "the original toolkit does not know it; use mode \"chip\""

local function accepts(node, role)
  local op = core.op(node.op_type, node.domain)
  return op and op.v1[role]
end

-- The original refuses types only, a line for each in order of first appearance.
local function type_lines(graph, role)
  local lines, seen = {}, {}
  for node in graph:nodes() do
    if not accepts(node, role) and not seen[node.op_type] then
      seen[node.op_type], lines[#lines + 1] = true, ("%s is not supported on esp-dl yet"):format(node.op_type)
    end
  end
  if #lines > 0 then lines[#lines + 1] = "current model is not supported by esp-dl" end
  return lines
end

local function original_reason(node, role)
  return not accepts(node, role) and (node:why_not() or UNKNOWN_TO_ORIGINAL) or nil
end

-- Parameters that the original reads as constants: it fails without a message where they are computed.
local function computed_parameter(node)
  local op = core.op(node.op_type, node.domain)
  for _, index in ipairs(op.v1.activation and { 1 } or { op.weight, op.bias }) do
    local input = index >= 0 and node:input(index + 1)
    if input and not input.constant then
      return ("its parameter '%s' is computed at run time; simplify the model so that it is a constant"):format(
        input.name)
    end
  end
end

-- What stops the original's calibration with an exception; its type check has no answer to these. Each returns our
-- reason, the original's text and the exception.
local function activation_on_input(node)
  local op = core.op(node.op_type, node.domain)
  local input = node:input(1)
  if op.v1.activation and input and not input.producer then
    local why = "it reads the model's input '%s' directly; put an operator between, or use mode \"chip\""
    return why:format(input.name), "'NoneType' object has no attribute 'op_type'", "AttributeError"
  end
end

local function concat_of_constant(node)
  if node.op_type ~= "Concat" then return end
  for _, input in ipairs(node.inputs) do
    if input.constant then
      return ("its input '%s' is a constant; use mode \"chip\""):format(input.name), "list index out of range",
        "IndexError"
    end
  end
end

local function alpha_of_zero(node)
  local is_activation = core.op(node.op_type, node.domain).v1.activation
  if is_activation and node:has_attr "alpha" and node:attr "alpha" == 0 then
    return "its alpha is 0; use Relu", "float division by zero", "ZeroDivisionError"
  end
end

local CALIBRATION_STOPS = { activation_on_input, concat_of_constant, alpha_of_zero }

-- The original has one input; further ones are problems of the nodes that read them.
local function reads_second_input(graph)
  local second = {}
  for i, input in ipairs(graph.inputs) do second[input.name] = i > 1 end
  return function(node)
    for _, input in ipairs(node.inputs) do
      if input and second[input.name] then
        return ("it reads '%s', but the original calibrates models of one input only; use mode \"chip\""):format(
          input.name)
      end
    end
  end
end

-- Appends lines and problems of what stops calibration.
local function calibration_stops(graph, lines, problems)
  local n = #graph.inputs
  if n > 1 then
    lines[1] = ("Model requires %d inputs. Input Feed contains 1"):format(n)
    problems.exception = "ValueError"
  end
  local rules = { reads_second_input(graph), table.unpack(CALIBRATION_STOPS) }
  for node in graph:nodes() do
    for _, rule in ipairs(rules) do
      local why, text, exception = rule(node)
      if why then problems[#problems + 1] = problem(node, why) end
      if text then lines[#lines + 1], problems.exception = text, problems.exception or exception end
    end
  end
end

-- --- all ------------------------------------------------------------------------------------------------------------

-- Of all codes of problems the model has the one that says most against it.
local GRAVITY = { unsupported = 1, format = 2, limit = 3 }

-- One problem for each node of which `reason` has one, its own faults first; the gravest code.
local function each_node(graph, reason, problems)
  local gravest = "unsupported"
  for node in graph:nodes() do
    local why, code = fault_of(node)
    why = why or reason(node)
    if (GRAVITY[code] or 0) > GRAVITY[gravest] then gravest = code end
    if why then problems[#problems + 1] = problem(node, why) end
  end
  return gravest
end

local function check_original(graph, role, problems)
  local type_role = role == "table" and "calibrator" or role
  local lines = type_lines(graph, type_role)
  local gravest = each_node(graph, function(node) return original_reason(node, type_role) end, problems)
  if #lines > 0 then problems.exception = "ValueError" end
  if #problems > 0 then return lines, gravest end
  if role == "table" then calibration_stops(graph, lines, problems) end
  each_node(graph, computed_parameter, problems)
  return lines, "unsupported"
end

--- True, or nil, message, code, problems. The code is "unsupported", "format" for a model that is not valid, or "limit"
--- for one that computes more than its limits allow.
return function(graph, mode, role)
  local copy, message, code = graph:clone() -- since a question changes nothing
  if not copy then return nil, message, code end
  local fits, misfit, misfit_code = copy:infer_shapes()
  local problems, lines = {}, {}
  local gravest
  if mode == "original" then lines, gravest = check_original(copy, role, problems)
  else gravest = each_node(copy, chip_reason, problems) end
  if #problems == 0 and fits then return true end
  if #problems == 0 then return nil, misfit, misfit_code, { { message = misfit, cause = misfit } } end
  if #lines == 0 then
    lines[1] = ("%d node%s of the model cannot be quantized"):format(#problems, #problems == 1 and "" or "s")
  end
  return nil, table.concat(lines, "\n"), gravest, problems
end
