--- Before: Pad(x, pads, 0) -> Conv    After: Conv with the pads added to its own
--- Only zeros, only on the spatial axes, none negative, and no auto_pad. Where Convs share a Pad, each takes it over;
--- another reader keeps it for all.
local P, pass = require "espquant.pattern", require "espquant.pass"
local padding = require "espquant.padding"

local MOST = 16 -- readers of a Pad

local function only_convs_read(pad)
  local result = pad:output(1)
  local readers = not result.is_output and result:use_count() <= MOST and result:users() or { pad }
  for _, reader in ipairs(readers) do
    if reader.op_type ~= "Conv" or reader:attr "auto_pad" ~= "NOTSET" or reader:input(1) ~= result then return false end
  end
  return padding.writes_zeros(pad)
end

return pass {
  name = "fuse_pad_into_conv",
  match = P.Conv {
    P.Pad { P.any "x" }:more():with { mode = "constant" }:where(only_convs_read):as "pad", P.const "w",
  }:more():with { auto_pad = "NOTSET" }:as "conv",
  rewrite = function(graph, m)
    local pads = padding.spatial(m.pad, m.w.constant.rank)
    local sum = pads and padding.add(m.conv, pads)
    if not sum then return false end
    assert(m.conv:set_attr("pads", sum, "ints"))
    assert(m.conv:set_input(1, m.x))
    pass.release(graph, m.pad)
    return true
  end,
}
