--- Before: a node whose inputs are all constant    After: its result, a constant
--- Results beyond 512 MiB stay nodes, and those beyond 256 MiB in all that bring a model's constants above 1 GiB: an
--- Expand can make a large file of a small one.
local pass = require "espquant.pass"
local core = require "espquant.core"

local MOST_BYTES, MOST_TOTAL, ALWAYS = 512 << 20, 1 << 30, 256 << 20

-- As if all were float32.
local function bytes_of_constants(graph)
  local bytes = 0
  for _, value in ipairs(graph:values()) do bytes = bytes + 4 * (value.constant and value.constant.count or 0) end
  return bytes
end

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
    local left = math.max(ALWAYS, MOST_TOTAL - bytes_of_constants(graph))
    local count = assert(core.fold_constants(graph, MOST_BYTES, left))
    if count == 0 then return 0 end
    for name, value in pairs(unread(graph)) do
      if not before[name] then graph:remove_value(value) end
    end
    return count
  end,
}
