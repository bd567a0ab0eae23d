--- Before: BatchNormalization(x, scale, bias, mean, var) that no pass could fold, x of rank 2
--- After:  x * k + (bias - mean * k) with k = scale / sqrt(var + epsilon)
local P, pass = require "espquant.pattern", require "espquant.pass"
local batchnorm = require "espquant.batchnorm"

return pass {
  name = "batchnorm",
  match = P.BatchNormalization { P.any "x", P.const "scale", P.const "bias", P.const "mean", P.const "var" }:as "bn",
  rewrite = function(graph, m)
    local shape = m.x.shape
    if not shape or #shape ~= 2 or math.type(shape[2]) ~= "integer" then return false end
    local k, shift = batchnorm.fold(m, shape[2], 0)
    if not k then return false end
    local name = m.bn.name
    local factor, term = assert(graph:add_constant(nil, k)), assert(graph:add_constant(nil, shift))
    local mul = assert(graph:add_node { op_type = "Mul", name = name, inputs = { m.x, factor }, before = m.bn })
    local add = assert(graph:add_node { op_type = "Add", name = name ~= "" and name .. "_shift" or nil,
      inputs = { mul:output(1), term }, before = m.bn })
    return pass.supersede(graph, m.bn, add)
  end,
}
