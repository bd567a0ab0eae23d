--- Before: Pad(x, pads, 0) -> Conv    After: Conv with the pads added to its own
--- Only zeros, only on the spatial axes, none negative, and no auto_pad.
local P, pass = require "espquant.pattern", require "espquant.pass"
local padding = require "espquant.padding"

return pass {
  name = "fuse_pad_into_conv",
  match = P.Conv {
    P.Pad { P.any "x" }:more():with { mode = "constant" }:where(padding.writes_zeros):as "pad":only_use(), P.const "w",
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
