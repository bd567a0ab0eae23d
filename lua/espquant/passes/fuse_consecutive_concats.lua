--- Before: Concat(a, Concat(b, c), d), same axis    After: Concat(a, b, c, d)
--- The inner one must have no other reader.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

local function axis_of(concat)
  local axis, rank = pass.attr(concat, "axis", "integer"), axes.rank(concat:output(1))
  return axis and axis < 0 and rank and axis + rank or axis
end

-- The Concat that makes this value for `outer` alone, along the same axis; nil otherwise.
local function inner_of(value, outer)
  local inner = value.producer
  if not inner or inner.op_type ~= "Concat" or inner.domain ~= "" or value:use_count() ~= 1 then return nil end
  return axis_of(inner) == axis_of(outer) and inner or nil
end

return pass {
  name = "fuse_consecutive_concats",
  match = P.Concat {}:more():as "node",
  rewrite = function(graph, m)
    local inputs, gone = {}, {}
    for _, value in ipairs(m.node.inputs) do
      local inner = inner_of(value, m.node)
      gone[#gone + 1] = inner
      for _, input in ipairs(inner and inner.inputs or { value }) do inputs[#inputs + 1] = input end
    end
    if #gone == 0 then return false end
    assert(m.node:set_inputs(inputs))
    for _, inner in ipairs(gone) do pass.release(graph, inner) end
    return true
  end,
}
