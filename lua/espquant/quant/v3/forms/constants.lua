--- Before: a float constant that several inputs read    After: one constant for each, `<name>_2` ... after the first
--- Each reader quantizes it in its own way.
local pass = require "espquant.pass"

local function free_name(graph, name)
  local number = 2
  while graph:value(name .. "_" .. number) do number = number + 1 end
  return name .. "_" .. number
end

return pass {
  name = "constants",
  run = function(graph)
    local seen, count = {}, 0
    for node in graph:nodes() do
      for i, value in ipairs(node.inputs) do
        if value and value.constant and value.dtype == "float32" then
          if seen[value.name] then
            local copy = assert(graph:add_constant(free_name(graph, value.name), value.constant))
            assert(node:set_input(i, copy))
            count = count + 1
          end
          seen[value.name] = true
        end
      end
    end
    return count
  end,
}
