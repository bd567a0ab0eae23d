--- Before: Slice(Slice(x, a), b), of different axes    After: Slice(x, a and b)
--- All bounds constant. All readers of the inner one are such Slices, so that it goes: two that begin alike become two.
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

-- The bounds of both; nil where they are not known, cut the same axis, or have no place in the node.
local function bounds_of(first, node)
  local a, b = axes.slice(first), axes.slice(node)
  if not a or not b or (not node:input(2) and not is_plain(a.steps)) then return nil end
  local both = {}
  for key in pairs(a) do both[key] = join(a[key], b[key]) end
  return axes.normalize(both.axes, axes.rank(first:input(1))) and both
end

local MOST_READERS = 64 -- who has more stays: each would ask all others

-- Whether nothing else reads the node than Slices that can do without it.
local function is_done_without(first)
  local value = first:output(1)
  if value.is_output or value:use_count() > MOST_READERS then return false end
  for _, node in ipairs(value:users()) do
    if node.op_type ~= "Slice" or node.domain ~= "" or node:input(1) ~= value or not bounds_of(first, node) then
      return false
    end
  end
  return true
end

return pass {
  name = "fuse_consecutive_slices",
  match = P.Slice { P.Slice { P.any "x" }:more():as "first" }:more():as "node",
  rewrite = function(graph, m)
    if not is_done_without(m.first) then return false end
    set_bounds(graph, m.node, bounds_of(m.first, m.node))
    assert(m.node:set_input(1, m.x))
    pass.release(graph, m.first)
    return true
  end,
}
