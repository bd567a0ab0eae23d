--- Before: ReduceMean(x) or ReduceMax(x) over all axes behind the channels
--- After:  GlobalAveragePool(x) or GlobalMaxPool(x)
--- It keeps the axes (split_reduce makes that of one that does not); x is float32, its rank 3 to 5 and known, no axis
--- empty.
local P, pass = require "espquant.pattern", require "espquant.pass"

local pools = { ReduceMean = "GlobalAveragePool", ReduceMax = "GlobalMaxPool" }

-- Since opset 18 axes are an input.
local function axes_of(node)
  local value = node:input(2)
  if not value then return pass.attr(node, "axes", "integers") end
  local t = value.constant
  return t and t.dtype == "int64" and t.rank == 1 and t.count > 0 and t:totable() or nil
end

local function is_spatial(axes, rank)
  local seen, count = {}, 0
  for _, axis in ipairs(axes or {}) do
    if axis < 0 then axis = axis + rank end
    if axis < 2 or axis >= rank or seen[axis] then return false end
    seen[axis], count = true, count + 1
  end
  return count == rank - 2
end

local function rewrite(graph, m)
  local node, shape = m.node, m.x.shape
  if node:attr "keepdims" == 0 or m.x.dtype ~= "float32" or not shape or #shape < 3 or #shape > 5 then return false end
  if not is_spatial(axes_of(node), #shape) then return false end
  for _, d in ipairs(shape) do
    if d == 0 then return false end
  end
  local pool = assert(graph:add_node { op_type = pools[node.op_type], name = node.name, inputs = { m.x },
    before = node })
  return pass.supersede(graph, node, pool)
end

return pass {
  name = "replace_reduce_with_global_pool",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local p = pools[node.op_type] and P[node.op_type] { P.any "x" }:more():as "node"
      local m = p and P.match(p, node)
      if m and rewrite(graph, m) then count = count + 1 end
    end
    return count
  end,
}
