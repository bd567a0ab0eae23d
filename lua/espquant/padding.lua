--- A Pad before an operator that pads by itself: what it adds, and the sum of both.

local axes = require "espquant.axes"

local M = {}

-- No chip has room for more; sums stay far from the ends of an integer.
local MOST = 1 << 24

--- The number that a Pad writes; nil where it is no known float32.
function M.fill(pad)
  local value = pad:input(3)
  if not value then
    local number = pad:attr("value", 0.0)
    return math.type(number) == "float" and number or nil
  end
  local fill = value.constant
  return fill and fill.dtype == "float32" and fill.count == 1 and fill:item() or nil
end

--- For patterns: whether a Pad writes zeros.
function M.writes_zeros(pad) return M.fill(pad) == 0 end

-- The 2 * rank numbers of a Pad, since opset 11 an input; nil where they are not known. Since opset 18 input 4 can name
-- axes.
local function read_pads(pad)
  if pad:input(4) then return nil end
  return axes.read(pad, "pads", 2)
end

-- Whether there is anything to pad: windows cannot do without it.
local function is_empty(value)
  for _, d in ipairs(value.shape or {}) do
    if d == 0 then return true end
  end
  return false
end

--- The begins and ends that a Pad adds to the spatial axes of a tensor of that rank; nil where it pads another axis, or
--- crops, or pads an empty tensor, or is not known.
function M.spatial(pad, rank)
  local pads = not is_empty(pad:input(1)) and read_pads(pad)
  local spatial = {}
  if not pads or #pads ~= 2 * rank then return nil end
  for i, n in ipairs(pads) do
    local is_spatial = (i - 1) % rank >= 2
    if n < 0 or n > MOST or (not is_spatial and n ~= 0) then return nil end
    if is_spatial then spatial[#spatial + 1] = n end
  end
  return spatial
end

--- The sum of a node's own pads, zeros where it has none, and these; nil where its own do not fit.
function M.add(node, pads)
  local own, sum = axes.attribute(node, "pads") or {}, {}
  if node:has_attr "pads" and #own ~= #pads then return nil end
  for i, n in ipairs(pads) do sum[i] = n + (own[i] or 0) end
  return sum
end

return M
