--- Before: Reshape(x, Concat(constants))                       After: Reshape(x, constant)
--- Before: Reshape(x, Concat(constants, one computed number))  After: Reshape(x, constant with -1 in its place)
--- Without allowzero; no constant may be -1 beside a computed number.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local core = require "espquant.core"

local function append(list, value)
  local t = value.constant
  if not t then
    local shape = value.shape
    if not shape or #shape ~= 1 or shape[1] ~= 1 then return false end
    list[#list + 1], list.computed = -1, (list.computed or 0) + 1
    return true
  end
  if t.rank ~= 1 or t.dtype ~= "int64" then return false end
  for _, d in ipairs(t:totable()) do
    list[#list + 1], list.inferred = d, list.inferred or d == -1
  end
  return true
end

-- The numbers of the Concat, -1 for a computed one; nil where that would change the meaning.
local function target(concat)
  local list = {}
  for _, value in ipairs(concat.inputs) do
    if not value or not append(list, value) then return nil end
  end
  if list.computed and (list.computed > 1 or list.inferred) then return nil end
  return list
end

return pass {
  name = "fuse_concat_into_reshape",
  match = P.Reshape { P.any "x", P.Concat {}:more():as "concat" }:as "node",
  rewrite = function(graph, m)
    local list = m.node:attr("allowzero", 0) == 0 and target(m.concat)
    if not list or axes.rank(m.concat:output(1)) ~= 1 then return false end
    pass.set_constant(graph, m.node, 2, core.tensor_from({ table.unpack(list) }, "int64"), "shape")
    pass.release(graph, m.concat)
    return true
  end,
}
