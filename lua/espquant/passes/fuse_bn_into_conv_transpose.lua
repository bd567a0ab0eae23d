--- Before: ConvTranspose(x, w, b) -> BatchNormalization(scale, bias, mean, var)
--- After:  ConvTranspose(x, w * k, (b - mean) * k + bias) with k = scale / sqrt(var + epsilon), one k per channel
--- The ConvTranspose's output must have no other reader.
local P, pass = require "espquant.pattern", require "espquant.pass"
local batchnorm = require "espquant.batchnorm"

-- Weights are (input channels, output channels of a group, ...): how many groups and channels there are, nil where
-- this is no such weight.
local function channels_of(conv, w)
  local group = pass.attr(conv, "group", "integer")
  if w.dtype ~= "float32" or w.rank < 3 or w.count == 0 or not group or group < 1 or w.shape[1] % group ~= 0 then
    return nil
  end
  return group, w.shape[2]
end

local function is_bias(b, channels) return b.dtype == "float32" and b.rank == 1 and b.count == channels end

return pass {
  name = "fuse_bn_into_conv_transpose",
  match = P.BatchNormalization {
    P.ConvTranspose { P.any "x", P.const "w", P.opt(P.const "b") }:as "conv":only_use(),
    P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  rewrite = function(graph, m)
    local w, b = m.w.constant, m.b and m.b.constant
    local group, each = channels_of(m.conv, w)
    if not group or (b and not is_bias(b, group * each)) then return false end
    local k, shift = batchnorm.fold(m, group * each, b or 0)
    if not k then return false end
    local grouped = w:reshape { group, w.shape[1] // group, each, -1 } * k:reshape { group, 1, each, 1 }
    pass.set_constant(graph, m.conv, 2, grouped:reshape(w.shape), "weight")
    pass.set_constant(graph, m.conv, 3, shift, "bias")
    return pass.replace(graph, m.bn, m.conv)
  end,
}
