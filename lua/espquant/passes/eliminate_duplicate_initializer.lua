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

-- Different constants of one sample that are compared byte by byte; beyond them digests are.
local FEW = 4

local function find_identical(group, value)
  for _, other in ipairs(group) do
    if other.constant:identical(value.constant) then return other end
  end
end

local function find_digest(group, value)
  if not group.digests then
    group.digests = {}
    for _, other in ipairs(group) do group.digests[digest(other.constant)] = other end
  end
  local key = digest(value.constant)
  local first = group.digests[key]
  group.digests[key] = first or value
  return first
end

-- The constant of this group that equals `value`, or nil after adding it. A group: values of one sample.
local function find_or_add(group, value)
  if group.digests or #group == FEW then return find_identical(group, value) or find_digest(group, value) end
  local first = find_identical(group, value)
  if not first then group[#group + 1] = value end
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
