--- Before: Clip(x, 0, high)      After: Min(Relu(x), high)              (Relu6 and the like)
--- Before: Clip(x, low, high)    After: Min(Max(x, low), high)          (a bound that is absent needs no node)
--- For chips whose runtime has no Clip. It makes more nodes of one, so it runs only when it is named.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

local FIRST_BROADCAST = 8 -- the opset since which Max and Min take operands of different shapes

-- The bound as a number, nil where there is none, false where it is no constant number of float32. Before opset 11 it
-- is an attribute.
local function bound(node, i, attribute)
  local input = node:input(i)
  if not input then return node:has_attr(attribute) and (pass.attr(node, attribute, "float") or false) or nil end
  local t = input.constant
  return t and t.dtype == "float32" and t.count == 1 and t:reshape({ 1 }):totable()[1] or false
end

-- A node of that name that compares x with the number; Max with 0 is a Relu.
local function limit(graph, clip, x, op_type, number, name)
  local is_relu = op_type == "Max" and number == 0
  local made = assert(graph:add_node {
    op_type = is_relu and "Relu" or op_type, name = name, inputs = { x }, before = clip,
  })
  if is_relu then return made end
  pass.set_constant(graph, made, 2, core.tensor_from({ number }, "float32", {}), op_type:lower())
  return made
end

return pass {
  name = "split_clip",
  match = P.Clip { P.any "x", P.opt(P.any()), P.opt(P.any()) }:as "clip",
  rewrite = function(graph, m)
    local clip, low, high = m.clip, bound(m.clip, 2, "min"), bound(m.clip, 3, "max")
    if graph.opset < FIRST_BROADCAST or low == false or high == false or not (low or high) then return false end
    local result = m.x
    -- The last node takes over the name; some runtimes refuse two nodes of one name.
    if low then result = limit(graph, clip, result, "Max", low, high and "" or clip.name) end
    if high then result = limit(graph, clip, result, "Min", high, clip.name) end
    return pass.supersede(graph, clip, result)
  end,
}
