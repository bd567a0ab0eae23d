--- Before: Pad(x, pads, 0) -> Conv    After: Conv with the pads added to its own
--- Only zeros, only on the spatial axes, none negative, and no auto_pad.
local P, pass = require "espquant.pattern", require "espquant.pass"

-- The 2 * rank numbers of a Pad whose attributes or constant inputs we can read; else nil.
local function read_pads(pad)
  if pad:attr "mode" ~= "constant" or pad:input(4) then return nil end
  local value = pad:input(3)
  if value and not (value.constant and value.constant:astype("float32"):maxabs() == 0) then return nil end
  if not value and pad:attr("value", 0) ~= 0 then return nil end
  local pads = pad:input(2)
  if pads then return pads.constant and pads.constant:totable() end
  return pad:attr("pads", nil)
end

local function spatial_only(pads, rank)
  if not pads or #pads ~= 2 * rank then return false end
  for i, n in ipairs(pads) do
    local axis = (i - 1) % rank + 1
    if n < 0 or (axis <= 2 and n ~= 0) then return false end
  end
  return true
end

return pass {
  name = "fuse_pad_into_conv",
  match = P.Conv { P.Pad { P.any "x" }:more():as "pad":only_use(), P.const "w" }:more():as "conv",
  rewrite = function(graph, m)
    local rank, pads = m.w.constant.rank, read_pads(m.pad)
    if m.conv:attr "auto_pad" ~= "NOTSET" or not spatial_only(pads, rank) then return false end
    local own, sum, spatial = m.conv:attr("pads", nil) or {}, {}, rank - 2
    for i = 1, spatial do
      sum[i] = (own[i] or 0) + pads[2 + i]
      sum[spatial + i] = (own[spatial + i] or 0) + pads[rank + 2 + i]
    end
    m.conv:set_attr("pads", sum)
    m.conv:set_input(1, m.x)
    graph:prune()
    return true
  end,
}
