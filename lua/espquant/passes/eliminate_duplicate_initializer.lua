--- Before: constants of the same type, shape and bytes    After: the first of them serves all readers
local pass = require "espquant.pass"
local core = require "espquant.core"

local SAMPLE = 16

-- Equal for equal constants, and cheap: most weights differ in it, so that their bytes need not be read.
local function sample(tensor)
  local shape, flat = tensor.shape, tensor:reshape { -1 }
  return ("%s|%s|"):format(tensor.dtype, table.concat(shape, "x"))
    .. (#flat > 0 and flat:slice(1, math.min(SAMPLE, #flat)):tobytes() or "")
end

local function digest(tensor)
  return core.sha256(tensor:tobytes())
end

-- The constant of this group that equals `value`, or nil after adding it. A group: values of one sample; by digest
-- from the second one on.
local function find_or_add(group, value)
  if not group.only then
    group.only = value
    return nil
  end
  if not group.digests then group.digests = { [digest(group.only.constant)] = group.only } end
  local key = digest(value.constant)
  local first = group.digests[key]
  if not first then group.digests[key] = value end
  return first
end

return pass {
  name = "eliminate_duplicate_initializer",
  run = function(graph)
    local groups, count = {}, 0
    for _, value in ipairs(graph:values()) do
      if value.constant and not value.is_output then
        local key = sample(value.constant)
        groups[key] = groups[key] or {}
        local first = find_or_add(groups[key], value)
        if first then
          assert(graph:replace(value, first))
          graph:remove_value(value)
          count = count + 1
        end
      end
    end
    return count
  end,
}
