--- Before: constants of the same type, shape and bytes    After: the first of them serves all readers
local pass = require "espquant.pass"
local core = require "espquant.core"

local function key(tensor)
  return tensor.dtype .. "|" .. table.concat(tensor.shape, "x") .. "|" .. core.sha256(tensor:tobytes())
end

return pass {
  name = "eliminate_duplicate_initializer",
  run = function(graph)
    local first, count = {}, 0
    for _, value in ipairs(graph:values()) do
      if value.constant and not value.is_output then
        local k = key(value.constant)
        if first[k] then
          assert(graph:replace(value, first[k]))
          graph:remove_value(value)
          count = count + 1
        else
          first[k] = value
        end
      end
    end
    return count
  end,
}
