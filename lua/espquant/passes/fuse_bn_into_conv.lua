--- Before: Conv(x, w, b) -> BatchNormalization(scale, bias, mean, var)
--- After:  Conv(x, w * k, (b - mean) * k + bias) with k = scale / sqrt(var + epsilon), one k per output channel
--- The Conv's output must have no other reader. All arithmetic in float32, in this order.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

local function per_output_channel(k, rank)
  local shape = { -1 }
  for i = 2, rank do shape[i] = 1 end
  return k:reshape(shape)
end

return pass {
  name = "fuse_bn_into_conv",
  match = P.BatchNormalization {
    P.Conv { P.any "x", P.const "w", P.opt(P.const "b") }:as "conv":only_use(),
    P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  rewrite = function(graph, m)
    local conv, w, mean = m.conv, m.w.constant, m.mean.constant
    if w.shape[1] ~= mean.count or w.dtype ~= "float32" then return false end
    local k = m.scale.constant / (m.var.constant + m.bn:attr "epsilon"):sqrt()
    local b = m.b and m.b.constant or core.tensor { mean.count }
    pass.set_constant(graph, conv, 2, w * per_output_channel(k, w.rank))
    pass.set_constant(graph, conv, 3, (b - mean) * k + m.bias.constant, conv.name .. "_bias")
    graph:replace(m.bn, conv)
    m.bn:remove()
    graph:prune()
    return true
  end,
}
