--- Before: Slice(Slice(x, a), b), of different axes    After: Slice(x, a and b)
--- All bounds constant; the inner one must have no other reader.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"
local core = require "espquant.core"

local function join(a, b)
  local list = table.move(a, 1, #a, 1, {})
  return table.move(b, 1, #b, #list + 1, list)
end

local function is_plain(steps)
  for _, step in ipairs(steps) do
    if step ~= 1 then return false end
  end
  return true
end

local function set_bounds(graph, node, s)
  pass.set_integers(graph, node, "starts", 2, s.starts)
  pass.set_integers(graph, node, "ends", 3, s.ends)
  if not node:input(2) then
    assert(node:set_attr("axes", s.axes, "ints"))
    return
  end
  pass.set_constant(graph, node, 4, core.tensor_from(s.axes, "int64"), "axes")
  if node:input(5) or not is_plain(s.steps) then
    pass.set_constant(graph, node, 5, core.tensor_from(s.steps, "int64"), "steps")
  end
end

return pass {
  name = "fuse_consecutive_slices",
  match = P.Slice { P.Slice { P.any "x" }:more():as "first":only_use() }:more():as "node",
  rewrite = function(graph, m)
    local a, b = axes.slice(m.first), axes.slice(m.node)
    if not a or not b or (not m.node:input(2) and not is_plain(a.steps)) then return false end
    local both = {}
    for key in pairs(a) do both[key] = join(a[key], b[key]) end
    if not axes.normalize(both.axes, axes.rank(m.x)) then return false end
    set_bounds(graph, m.node, both)
    assert(m.node:set_input(1, m.x))
    pass.release(graph, m.first)
    return true
  end,
}
