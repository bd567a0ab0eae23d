--- Before: Reshape -> LayerNormalization -> Reshape     After: Reshape -> Reshape -> LayerNormalization
--- Where the last axes of the result hold as many elements as are normalized at a time: then the Reshapes become one,
--- or none, and the LayerNormalization meets its scale and bias. Nobody else reads what lies between.
local P, pass = require "espquant.pattern", require "espquant.pass"

-- The number of elements from that axis on; nil where it is not known.
local function count_from(shape, axis)
  local count = 1
  for i = axis + 1, #shape do
    if math.type(shape[i]) ~= "integer" then return nil end
    count = count * shape[i]
  end
  return count
end

-- The last axis from which on there are that many elements.
local function axis_of(shape, count)
  for axis = #shape - 1, 0, -1 do
    local n = count_from(shape, axis)
    if not n or n > count then return nil end
    if n == count then return axis end
  end
end

-- The axis of the result, 0-based; nil where the two cannot change places.
local function place(m)
  local from, to = m.x.shape, m.reshape:output(1).shape
  local axis = pass.attr(m.norm, "axis", "integer")
  local count = axis and from and to and count_from(from, axis < 0 and axis + #from or axis)
  return count and count > 0 and axis_of(to, count) or nil
end

-- The parameter with the dimensions of the result; nil where it has fewer elements than are normalized.
local function parameter(value, shape, axis)
  local t, dims = value.constant, { table.unpack(shape, axis + 1) }
  return t.count == count_from(shape, axis) and t:reshape(dims) or nil
end

return pass {
  name = "move_layer_normalization",
  match = P.Reshape {
    P.LayerNormalization {
      P.either { P.Reshape { P.any(), P.any() }, P.Unsqueeze { P.any() }:more(), P.Squeeze { P.any() }:more() }
        :as "x":only_use(),
      P.const "scale", P.opt(P.const "bias"),
    }:as "norm":only_use(), P.const "target",
  }:as "reshape":where(function(reshape) return reshape:attr("allowzero", 0) == 0 end),
  rewrite = function(graph, m)
    local axis, result = place(m), m.reshape:output(1)
    local scale = axis and parameter(m.scale, result.shape, axis)
    local bias = scale and m.bias and parameter(m.bias, result.shape, axis)
    if not scale or (m.bias and not bias) then return false end
    local reshaped = assert(graph:add_node { op_type = "Reshape", inputs = { m.x, m.target }, before = m.reshape })
    reshaped:output(1):set_dtype(result.dtype)
    assert(reshaped:output(1):set_shape(result.shape))
    local attrs = m.norm:attrs()
    attrs.axis = axis - #result.shape
    local norm = assert(graph:add_node { op_type = "LayerNormalization", name = m.norm.name, attrs = attrs,
      inputs = { reshaped, m.scale, m.bias }, before = m.reshape })
    pass.set_constant(graph, norm, 2, scale, "scale")
    if bias then pass.set_constant(graph, norm, 3, bias, "bias") end
    return pass.supersede(graph, m.reshape, norm)
  end,
}
