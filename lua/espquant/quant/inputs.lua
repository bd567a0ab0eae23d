--- The exponents of a graph's inputs: fixed, given, or "measured", for all inputs or for each by name.

local M = {}

--- The fixed ones, by width: inputs are supposed to lie in [-1, 1).
M.FIXED = { [8] = -7, [16] = -15 }

--- Of the input `name`: that of the option input_exponent, or the fixed one. `options`: bits, input_exponent.
function M.exponent(options, name)
  local given = options.input_exponent
  if type(given) == "table" then given = given[name] end
  return given or M.FIXED[options.bits]
end

--- True, or nil, message, code, problems where the option names what is no input of the graph.
function M.check(graph, options)
  local problems = {}
  for name in pairs(type(options.input_exponent) == "table" and options.input_exponent or {}) do
    local value = graph:value(name)
    if not (value and value.is_input) then
      problems[#problems + 1] = ("input_exponent: the model has no input '%s'"):format(name)
    end
  end
  if #problems == 0 then return true end
  table.sort(problems)
  return nil, "input_exponent names what is no input", "format", problems
end

return M
