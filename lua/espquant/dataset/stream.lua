--- Streams of items: functions that return the next item, nil at the end. An item is a list of tensors, one for each
--- input of the model, with the same number of rows (images). Each pass over a dataset is a new stream.

local core = require "espquant.core"
local errors = require "espquant.errors"

local M = {}

-- The rows first..last of every tensor of an item, cast.
local function cut(item, first, last, cast)
  local part = {}
  for k, tensor in ipairs(item) do
    local rows = first == 1 and last == #tensor and tensor or tensor:slice(first, last)
    part[k] = errors.check(cast(k, rows))
  end
  return part
end

local function join(parts)
  if #parts == 1 then return parts[1] end
  local item = {}
  for k in ipairs(parts[1]) do
    local column = {}
    for i, part in ipairs(parts) do column[i] = part[k] end
    item[k] = errors.check(core.concat(column, 0))
  end
  return item
end

--- The stream without its first `count` rows.
function M.skip(next_item, count)
  return function()
    while count > 0 do
      local item = next_item()
      if not item then return nil end
      local n = #item[1]
      count = count - n
      if count < 0 then return cut(item, n + count + 1, n, function(_, rows) return rows end) end
    end
    return next_item()
  end
end

--- The stream's rows in items of `step` rows, the last one with what is left; cast(k, rows) makes the numbers of input
--- k. Long items become views, short ones are put together.
function M.rebatch(next_item, step, cast)
  local item, at
  return function()
    local parts, rows = {}, 0
    while rows < step do
      if not item then
        item, at = next_item(), 1
        if not item then break end
      end
      local n = #item[1]
      local last = math.min(n, at + step - rows - 1)
      if last >= at then parts[#parts + 1], rows = cut(item, at, last, cast), rows + last - at + 1 end
      at = last + 1
      if at > n then item = nil end
    end
    return rows > 0 and join(parts) or nil
  end
end

--- Streams of one input each, side by side: items of all inputs. `names` are theirs, for the complaint about streams of
--- unequal length; all must be cut to the same step.
function M.zip(streams, names, where)
  return function()
    local item, rows = {}, nil
    for k, next_item in ipairs(streams) do
      local one = next_item()
      local n = one and #one[1] or 0
      if rows and n ~= rows then
        errors.raise("format", ("%s: input '%s' has another number of images than input '%s'"):format(where, names[k],
          names[1]))
      end
      rows = n
      item[k] = one and one[1]
    end
    return rows > 0 and item or nil
  end
end

--- Makes passes over an iterator that can be run through once: what it returns is kept for the next pass.
function M.replay(iterator)
  local seen, done = {}, false
  return function()
    local i = 0
    return function()
      i = i + 1
      if seen[i] == nil and not done then
        seen[i] = iterator()
        done = seen[i] == nil
      end
      return seen[i]
    end
  end
end

return M
