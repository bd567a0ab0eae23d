--- One of n parts of a dataset that is bound to a model: whole batches of it, so that parts together see the same batches
--- as one pass over everything.
---
---     local part = parts.of(data, 3, 8)      -- the third of eight; may be empty where there are fewer batches
---     part:count()  part.first  for batch in part:batches() do ... end

local errors = require "espquant.errors"

local Part = { __name = "espquant.dataset_part" }
Part.__index = Part

local M = {}

--- Part number `index` (from 1) of `count`. Raises where the number of images is not known before a pass.
function M.of(data, index, count)
  local total = data:count()
  if not total then errors.raise("unsupported", "data of an unknown number of images cannot be split into shards") end
  local steps = (total + data.step - 1) // data.step
  local before, upto = (index - 1) * steps // count, index * steps // count
  local last = math.min(total, upto * data.step)
  return setmetatable({ data = data, total = total, first = before * data.step + 1, last = last }, Part)
end

--- Number of images.
function Part:count()
  return math.max(0, self.last - self.first + 1)
end

--- The batches of the part.
function Part:batches()
  local next_item, left = self.data:items(self.first), self:count()
  return function()
    if left <= 0 then return nil end
    local item = next_item()
    if not item then errors.raise("format", ("%s: it ends before image %d"):format(self.data.where, self.last)) end
    left = left - #item[1]
    return #item > 1 and item or item[1]
  end
end

return M
