--- Before: constants that no node reads    After: gone
local pass = require "espquant.pass"

return pass {
  name = "eliminate_unused_initializer",
  run = function(graph)
    local count = 0
    for _, value in ipairs(graph:values()) do
      if value.constant and value:use_count() == 0 and graph:remove_value(value) then count = count + 1 end
    end
    return count
  end,
}
