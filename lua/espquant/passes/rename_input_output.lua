--- Before: inputs and outputs of any name    After: input_0, input_1, ..., output_0, output_1, ...
--- An input that is an output, too, counts as an input. It changes names that programs use, so it runs only when named.
local pass = require "espquant.pass"

-- Gives the value the name; whoever has it now gets the value's. True if something changed.
local function rename(graph, value, name)
  local other, old = graph:value(name), value.name
  if old == name then return false end
  local spare = name
  while graph:value(spare) do spare = spare .. "_" end
  if other then assert(other:rename(spare)) end
  assert(value:rename(name))
  if other then assert(other:rename(old)) end
  return true
end

return pass {
  name = "rename_input_output",
  run = function(graph)
    local count = 0
    for i, value in ipairs(graph.inputs) do
      if rename(graph, value, "input_" .. i - 1) then count = count + 1 end
    end
    for i, value in ipairs(graph.outputs) do
      if not value.is_input and rename(graph, value, "output_" .. i - 1) then count = count + 1 end
    end
    return count
  end,
}
