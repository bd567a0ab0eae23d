--- Before: Conv(x, w) + bias, bias a constant of one number per output channel, shaped (C,1,1), (1,C,1,1) or one number
--- After:  Conv(x, w, bias)
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

-- The bias as a vector of `channels` numbers, or nil when it is not one per channel of a result of that rank.
local function channel_vector(bias, channels, rank)
  local axis = bias.rank - rank + 2 -- the channels, where shapes are aligned at the right
  if bias.dtype ~= "float32" or bias.rank > rank then return nil end
  for i, d in ipairs(bias.shape) do
    if d ~= 1 and i ~= axis then return nil end
  end
  if bias.count == channels then return bias:reshape { -1 } end
  if bias.count == 1 then return core.tensor { channels } + bias:item() end
end

return pass {
  name = "fuse_add_bias_into_conv",
  match = P.Add { P.Conv { P.any "x", P.const "w" }:as "conv":only_use(), P.const "bias" }:any_order():as "add",
  rewrite = function(graph, m)
    local w = m.w.constant
    local vector = w.rank >= 3 and channel_vector(m.bias.constant, w.shape[1], w.rank)
    if not vector then return false end
    pass.set_constant(graph, m.conv, 3, vector, "bias")
    return pass.replace(graph, m.add, m.conv)
  end,
}
