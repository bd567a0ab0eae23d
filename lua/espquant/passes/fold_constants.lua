--- Before: a node whose inputs are all constant    After: its result, a constant
--- Results beyond 64 MiB, or 256 MiB in all, stay nodes: an Expand can make a large file of a small one.
local pass = require "espquant.pass"
local core = require "espquant.core"

local MOST_BYTES = 64 << 20

local function unread(graph)
  local list = {}
  for _, value in ipairs(graph:values()) do
    if value.constant and value:use_count() == 0 then list[value.name] = value end
  end
  return list
end

return pass {
  name = "fold_constants",
  run = function(graph)
    local before = unread(graph)
    local count = assert(core.fold_constants(graph, MOST_BYTES))
    if count == 0 then return 0 end
    for name, value in pairs(unread(graph)) do
      if not before[name] then graph:remove_value(value) end
    end
    return count
  end,
}
