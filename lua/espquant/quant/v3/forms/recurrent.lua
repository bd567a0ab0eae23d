--- Before: GRU or LSTM without some of its outputs    After: the same with all of them, Y, Y_h (and Y_c)
local pass = require "espquant.pass"

local OUTPUTS = { GRU = { "Y", "Y_h" }, LSTM = { "Y", "Y_h", "Y_c" } }

local function rewrite(graph, node, names)
  local missing = false
  for i in ipairs(names) do missing = missing or not node:output(i) end
  if not missing then return false end
  local made = assert(graph:add_node { op_type = node.op_type, name = node.name, inputs = node.inputs,
    attrs = node:attrs(), outputs = #names, before = node })
  local base = node.name ~= "" and node.name or nil
  for i, name in ipairs(names) do
    local old, new = node:output(i), made:output(i)
    if old then
      local old_name = old.name
      assert(graph:replace(old, new))
      if new.name ~= old_name then
        old:rename(old_name .. "/replaced")
        assert(new:rename(old_name))
      end
    elseif base and not graph:value(base .. "_" .. name) then
      assert(new:rename(base .. "_" .. name))
    end
  end
  node:remove()
  return true
end

return pass {
  name = "recurrent",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local names = node.domain == "" and OUTPUTS[node.op_type]
      if names and rewrite(graph, node, names) then count = count + 1 end
    end
    return count
  end,
}
