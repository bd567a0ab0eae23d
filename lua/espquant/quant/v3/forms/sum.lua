--- Before: Sum(a, b, c ...)    After: Add(Add(a, b), c) ...; Sum(a) vanishes
local pass = require "espquant.pass"

local function rewrite(graph, node)
  local list = node.inputs
  if #list == 1 then return pass.replace(graph, node, list[1]) end
  local x, made = list[1], nil
  for i = 2, #list do
    local name = node.name ~= "" and (i == #list and node.name or node.name .. "_" .. i - 1) or nil
    made = assert(graph:add_node { op_type = "Add", name = name, inputs = { x, list[i] }, before = node })
    x = made:output(1)
  end
  return pass.supersede(graph, node, made)
end

return pass {
  name = "sum",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      if node.op_type == "Sum" and node.domain == "" and rewrite(graph, node) then count = count + 1 end
    end
    return count
  end,
}
