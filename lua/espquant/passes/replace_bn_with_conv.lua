--- Before: BatchNormalization(x, scale, bias, mean, var) that no other pass could fold, x of rank 3 to 5, not empty
--- After:  Conv(x, k, bias - mean * k), one 1x1 filter per channel, with k = scale / sqrt(var + epsilon)
local P, pass = require "espquant.pattern", require "espquant.pass"
local batchnorm = require "espquant.batchnorm"

local function is_empty(shape)
  for _, d in ipairs(shape) do
    if d == 0 then return true end
  end
  return false
end

return pass {
  name = "replace_bn_with_conv",
  match = P.BatchNormalization {
    P.any "x", P.const "scale", P.const "bias", P.const "mean", P.const "var",
  }:as "bn",
  rewrite = function(graph, m)
    local shape = m.x.shape
    local channels = shape and #shape >= 3 and #shape <= 5 and shape[2]
    if math.type(channels) ~= "integer" or m.x.dtype ~= "float32" or is_empty(shape) then return false end
    local k, shift = batchnorm.fold(m, channels, 0)
    if not k then return false end
    local filters = { channels, 1 }
    for i = 3, #shape do filters[i] = 1 end
    local conv = assert(graph:add_node { op_type = "Conv", name = m.bn.name, inputs = { m.x, m.scale },
      attrs = { group = channels }, before = m.bn })
    pass.set_constant(graph, conv, 2, k:reshape(filters), "weight")
    pass.set_constant(graph, conv, 3, shift, "bias")
    return pass.supersede(graph, m.bn, conv)
  end,
}
