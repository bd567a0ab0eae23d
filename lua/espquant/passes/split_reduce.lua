--- Before: ReduceMean(x) or ReduceMax(x) without keepdims over all axes behind the channels
--- After:  the same with keepdims, of which replace_reduce_with_global_pool makes a pool, and Flatten
--- Two nodes for one, but operators that every chip has.
local pass = require "espquant.pass"
local axes = require "espquant.axes"

local SPLITS = { ReduceMean = true, ReduceMax = true }

local function goes(node)
  local rank = axes.rank(node:input(1))
  local list = rank and rank >= 3 and axes.normalize(axes.read(node, "axes", 2), rank)
  return list and #list == rank - 2 and list[1] == 2
end

return pass {
  name = "split_reduce",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      if SPLITS[node.op_type] and node.domain == "" and node:attr "keepdims" == 0 and goes(node) then
        local attrs = node:attrs()
        attrs.keepdims = 1
        local kept = assert(graph:add_node { op_type = node.op_type, name = node.name, inputs = node.inputs,
          attrs = attrs, before = node })
        local flat = assert(graph:add_node { op_type = "Flatten", inputs = { kept }, attrs = { axis = 1 },
          before = node })
        if pass.supersede(graph, node, flat) then count = count + 1 end
      end
    end
    return count
  end,
}
