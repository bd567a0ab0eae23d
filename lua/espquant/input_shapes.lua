--- Shapes of a model's inputs that its user gives: in place of symbols, or of what the exporter was told.
---
---     input_shapes.set(graph, { image = { 1, 3, 192, 192 } })

local shape_text = require "espquant.shape".text

local M = {}

local function names_of(values)
  local names = {}
  for i, value in ipairs(values) do names[i] = value.name end
  return table.concat(names, ", ")
end

-- Why the shape is refused, or nil.
local function problem(graph, name, shape)
  local value = graph:value(name)
  if not value or not value.is_input then
    return ("the model has no input '%s'; its inputs are: %s"):format(name, names_of(graph.inputs))
  end
  if value.shape and #value.shape ~= #shape then
    return ("input '%s' has %d dimensions, %s, the shape given has %d"):format(name, #value.shape,
      shape_text(value.shape), #shape)
  end
end

--- Gives the named inputs these shapes, in place; others keep theirs. Shapes behind them are to be inferred anew. True,
--- or nil, message, code: names that are no inputs, other ranks than the model's; all of them.
function M.set(graph, shapes)
  local problems, names = {}, {}
  for name in pairs(shapes) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do problems[#problems + 1] = problem(graph, name, shapes[name]) end
  if #problems > 0 then return nil, table.concat(problems, "; "), "format" end
  for _, name in ipairs(names) do
    local ok, message, code = graph:value(name):set_shape(shapes[name])
    if not ok then return nil, message, code end
  end
  return true
end

return M
