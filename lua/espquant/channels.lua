--- Constants that belong to channels, axis 1 of a tensor.

local core = require "espquant.core"

local M = {}

--- One number per channel, a vector, of a float32 constant that broadcasts against a tensor of that rank along axis 1
--- only, or is one number; nil for every other.
function M.vector(t, channels, rank)
  local axis = t.rank - rank + 2 -- the channels, where shapes are aligned at the right
  if t.dtype ~= "float32" or t.rank > rank then return nil end
  for i, d in ipairs(t.shape) do
    if d ~= 1 and i ~= axis then return nil end
  end
  if t.count == channels then return t:reshape { -1 } end
  if t.count == 1 then return core.tensor { channels } + t:reshape({ 1 }):item() end
end

return M
