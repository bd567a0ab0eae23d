--- What `espquant.dataset{tensor, ...}` returns: tensors in memory, each a batch or one image: a model tells which.

local errors = require "espquant.errors"

local Memory = { __name = "espquant.dataset.memory" }
Memory.__index = Memory

local ANY = { dtype = "float32" }

local M = {}

--- A dataset of a list of tensors; `cast(tensor, input, scale)` makes the numbers.
function M.new(list, options, cast)
  local entries = table.move(list, 1, #list, 1, {})
  return setmetatable({ entries = entries, scale = options.scale, cast = cast }, Memory)
end

--- True for an object made by `new`.
function M.is(value)
  return getmetatable(value) == Memory
end

function Memory:__tostring()
  return ("dataset of %d tensor%s"):format(#self.entries, #self.entries == 1 and "" or "s")
end

--- Number of images: nil, since only a model tells whether an entry is one image or a batch.
function Memory.count()
  return nil
end

--- Iterator of the entries as float32, scaled.
function Memory:batches()
  local i = 0
  return function()
    i = i + 1
    return self.entries[i] and errors.check(self.cast(self.entries[i], ANY, self.scale)) or nil
  end
end

return M
