--- Can this model be quantized? Every reason that it cannot, at once.
---
---     local ok, message, code, problems = check(graph, "chip", "calibrator")
---
--- A problem is `{node=, op=, shapes=, cause=, remedy=, message=}`. In "original" mode the original's own refusals come
--- first, in its words: one line per operator type that it does not know.

local core = require "espquant.core"

local function shape_text(value)
  local shape = value.shape
  if not shape then return "?" end
  local parts = {}
  for i, d in ipairs(shape) do parts[i] = d and tostring(d) or "?" end
  return #parts > 0 and table.concat(parts, "x") or "scalar"
end

local function shapes_text(node)
  local parts = {}
  for _, input in ipairs(node.inputs) do parts[#parts + 1] = input and shape_text(input) or "-" end
  return table.concat(parts, ", ") .. " -> " .. (node:output(1) and shape_text(node:output(1)) or "?")
end

local function problem(node, cause)
  return {
    node = node.name, op = node.op_type, output = node:output(1) and node:output(1).name, shapes = shapes_text(node), cause = cause,
    message = ("%s (%s): %s"):format(node:label(), shapes_text(node), cause),
  }
end

-- A constant of arithmetic that holds NaN or infinity, named; it would make the exponent meaningless.
local function bad_constants(node, list)
  for _, input in ipairs(node.inputs) do
    if input and input.constant and input.dtype == "float32" and not input.constant:isfinite() then
      list[#list + 1] = problem(node, ("constant '%s' holds NaN or infinite values; train or export the model again")
        :format(input.name))
    end
  end
end

-- The original refuses types only, one line for each in order of first appearance.
local function original_refusals(graph, role)
  local lines, seen = {}, {}
  for node in graph:nodes() do
    local op = core.op(node.op_type, node.domain)
    if not (op and op.v1[role]) and not seen[node.op_type] then
      seen[node.op_type] = true
      lines[#lines + 1] = ("%s is not supported on esp-dl yet"):format(node.op_type)
    end
  end
  return lines
end

local function reasons(graph)
  local list = {}
  for node in graph:nodes() do
    local why = node:why_not()
    if why then list[#list + 1] = problem(node, why) else bad_constants(node, list) end
  end
  return list
end

--- True, or nil, message, "unsupported", problems.
return function(graph, mode, role)
  local problems, lines = reasons(graph), {}
  if mode == "original" then
    lines = original_refusals(graph, role)
    if #lines == 0 then return true end
    lines[#lines + 1] = "current model is not supported by esp-dl"
  elseif #problems == 0 then
    return true
  else
    lines[1] = ("%d node%s of the model cannot be quantized"):format(#problems, #problems == 1 and "" or "s")
  end
  return nil, table.concat(lines, "\n"), "unsupported", problems
end
