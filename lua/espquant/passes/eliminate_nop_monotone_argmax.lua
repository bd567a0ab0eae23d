--- Before: ArgMax(f(x), axis)    After: ArgMax(x, axis)    for f = Exp, or Softmax or LogSoftmax along that axis
--- Only where the operator's version is 13 or newer: older Softmaxes take all further axes together. Log and Sqrt stay,
--- since negative numbers have none.
local P, pass = require "espquant.pattern", require "espquant.pass"

-- The axis of the node, counted from the front where the shape is known.
local function along(node, shape, otherwise)
  local axis = node:attr("axis", otherwise)
  if math.type(axis) ~= "integer" then return nil end
  return axis < 0 and shape and axis + #shape or axis
end

local function keeps_order(graph, f, argmax)
  if f.op_type == "Exp" then return true end
  local shape = f:input(1).shape
  local axis = along(argmax, shape, 0)
  return graph.opset >= 13 and axis ~= nil and axis == along(f, shape, -1)
end

return pass {
  name = "eliminate_nop_monotone_argmax",
  match = P.ArgMax { P.one_of({ "Exp", "Softmax", "LogSoftmax" }, { P.any "x" }):as "f" }:as "argmax",
  rewrite = function(graph, m)
    if not keeps_order(graph, m.f, m.argmax) then return false end
    assert(m.argmax:set_input(1, m.x))
    pass.release(graph, m.f)
    return true
  end,
}
