--- Before: Conv(x, w) + bias, bias a constant of one number per output channel, shaped (C,1,1), (1,C,1,1) or one number
--- After:  Conv(x, w, bias)
local P, pass = require "espquant.pattern", require "espquant.pass"
local channels = require "espquant.channels"

return pass {
  name = "fuse_add_bias_into_conv",
  match = P.Add { P.Conv { P.any "x", P.const "w" }:as "conv":only_use(), P.const "bias" }:any_order():as "add",
  rewrite = function(graph, m)
    local w = m.w.constant
    local vector = w.rank >= 3 and channels.vector(m.bias.constant, w.shape[1], w.rank)
    if not vector then return false end
    pass.set_constant(graph, m.conv, 3, vector, "bias")
    return pass.replace(graph, m.add, m.conv)
  end,
}
