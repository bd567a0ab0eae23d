--- Before: Pad(x, pads, 0) -> Conv    After: Conv with the pads added to its own
--- Only zeros, only on the spatial axes, none negative, and no auto_pad.
local P, pass = require "espquant.pattern", require "espquant.pass"

-- No chip has room for more; sums stay far from the ends of an integer.
local MOST = 1 << 24

local function pads_zeros(pad)
  local value = pad:input(3)
  if not value then return not pad:has_attr "value" or pass.attr(pad, "value", "float") == 0 end
  local fill = value.constant
  return fill and fill.dtype == "float32" and fill.count == 1 and fill:item() == 0
end

-- The 2 * rank numbers of a Pad, since opset 11 an input; nil where they are not known. Since opset 18 input 4 can name
-- axes.
local function read_pads(pad)
  if pad:input(4) then return nil end
  local value = pad:input(2)
  if not value then return pass.attr(pad, "pads", "integers") end
  return value.constant and value.constant.dtype == "int64" and value.constant:totable()
end

-- The begins and ends of the spatial axes, or nil where something else is padded.
local function spatial_pads(pads, rank)
  local spatial = {}
  if not pads or #pads ~= 2 * rank then return nil end
  for i, n in ipairs(pads) do
    local is_spatial = (i - 1) % rank >= 2
    if n < 0 or n > MOST or (not is_spatial and n ~= 0) then return nil end
    if is_spatial then spatial[#spatial + 1] = n end
  end
  return spatial
end

-- The sum of the Conv's own pads, zeros where it has none, and these; nil where its own do not fit.
local function add_pads(conv, pads)
  local own, sum = pass.attr(conv, "pads", "integers") or {}, {}
  if conv:has_attr "pads" and #own ~= #pads then return nil end
  for i, n in ipairs(pads) do sum[i] = n + (own[i] or 0) end
  return sum
end

return pass {
  name = "fuse_pad_into_conv",
  match = P.Conv {
    P.Pad { P.any "x" }:more():with { mode = "constant" }:where(pads_zeros):as "pad":only_use(), P.const "w",
  }:more():with { auto_pad = "NOTSET" }:as "conv",
  rewrite = function(graph, m)
    local rank = m.w.constant.rank
    local pads = spatial_pads(read_pads(m.pad), rank)
    local sum = pads and add_pads(m.conv, pads)
    if not sum then return false end
    assert(m.conv:set_attr("pads", sum, "ints"))
    assert(m.conv:set_input(1, m.x))
    pass.release(graph, m.pad)
    return true
  end,
}
