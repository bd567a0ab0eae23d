--- Before: Conv(x, w, b) -> BatchNormalization(scale, bias, mean, var)
--- After:  Conv(x, w * k, (b - mean) * k + bias) with k = scale / sqrt(var + epsilon), one k per output channel
--- The Conv's output must have no other reader.
local P, pass = require "espquant.pattern", require "espquant.pass"
local batchnorm = require "espquant.batchnorm"

-- One number per output channel, shaped to be multiplied with weights of that rank.
local function per_filter(k, rank)
  local shape = { -1 }
  for i = 2, rank do shape[i] = 1 end
  return k:reshape(shape)
end

local function is_bias(b, channels)
  return b.dtype == "float32" and b.rank == 1 and b.count == channels
end

-- k and the new bias; nil where the two cannot become one.
local function factors(m)
  local w, b = m.w.constant, m.b and m.b.constant
  if w.dtype ~= "float32" or w.rank < 3 or (b and not is_bias(b, w.shape[1])) then return nil end
  return batchnorm.fold(m, w.shape[1], b or 0)
end

return pass {
  name = "fuse_bn_into_conv",
  match = P.BatchNormalization {
    P.Conv { P.any "x", P.const "w", P.opt(P.const "b") }:as "conv":only_use(),
    P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  factors = factors,
  rewrite = function(graph, m)
    local k, shift = factors(m)
    if not k then return false end
    local w = m.w.constant
    pass.set_constant(graph, m.conv, 2, w * per_filter(k, w.rank), "weight")
    pass.set_constant(graph, m.conv, 3, shift, "bias")
    return pass.replace(graph, m.bn, m.conv)
  end,
}
