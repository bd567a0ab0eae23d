--- Before: BatchNormalization(x, scale, bias, mean and variance of x itself along all axes but the channels)
--- After:  LayerNormalization(x) [* scale] [+ bias]
--- tf2onnx writes Keras' LayerNormalization so. The variance is ReduceSumSquare(x - mean) / count, all dimensions but
--- that of the channels are known. Where the model's opset has LayerNormalization (17; raise_opset).
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local normalization = require "espquant.normalization"
local numbers = require "espquant.numbers"

local SINCE = 17

local function mean(name) return normalization.reduce("ReduceMean", P.any "x", name) end

local squares = P.ReduceSumSquare { P.Sub { P.any "x", mean "mean1" }, P.opt(P.const()) }:with { keepdims = 0 }
  :as "squares"

-- All axes but 1, if these are the list; their number of elements.
local function count_of(shape, list)
  local count = 1
  if not list or #list ~= #shape - 1 then return nil end
  for _, axis in ipairs(list) do
    local d = shape[axis + 1]
    if axis == 1 or math.type(d) ~= "integer" then return nil end
    count = count * d
  end
  return count
end

-- The parameter as it multiplies or is added to a tensor of that rank; nil where it changes nothing, false where it is
-- no vector of float32.
local function parameter(graph, value, rank, unit)
  local t = value.constant
  if t.dtype ~= "float32" or t.rank ~= 1 or t.count == 0 then return false end
  if t:min() == unit and t:max() == unit then return nil end
  local shape = { t.count }
  for i = 2, rank - 1 do shape[i] = 1 end
  return assert(graph:add_constant(nil, t:reshape(shape)))
end

local function is_statistics(m)
  local shape = m.x.shape
  local list = shape and normalization.common_axes(m.x, m.mean, m.mean1, m.squares)
  local count = list and count_of(shape, list)
  return count and count > 0 and numbers.of(m.count) == count and list
end

return pass {
  name = "fuse_bn_of_own_statistics",
  match = P.BatchNormalization {
    P.any "x", P.const "scale", P.const "bias",
    P.either { P.Squeeze { mean "mean", P.opt(P.const()) }, P.Reshape { mean "mean", P.const() } },
    P.Div { squares, P.const "count" },
  }:as "bn",
  rewrite = function(graph, m)
    local list = graph.opset >= SINCE and m.bn:attr "training_mode" == 0 and is_statistics(m)
    local epsilon, rank = pass.attr(m.bn, "epsilon", "float"), axes.rank(m.x)
    if not list or not epsilon or not numbers.same_form(m.x, m.bn:output(1)) then return false end
    local scale, bias = parameter(graph, m.scale, rank, 1), parameter(graph, m.bias, rank, 0)
    local norm = scale ~= false and bias ~= false
      and normalization.add(graph, "LayerNormalization", m.bn, m.x, list, epsilon)
    return norm and normalization.take_over(graph, m.bn, norm, scale, bias) or false
  end,
}
