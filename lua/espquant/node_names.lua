--- Names for nodes that have none, or that of an earlier node: some readers find nodes by name only.

local M = {}

--- Names such nodes <operator>_0, <operator>_1, ...; returns how many.
function M.complete(graph)
  local taken, seen, next_number, count = {}, {}, {}, 0
  for node in graph:nodes() do taken[node.name] = true end
  for node in graph:nodes() do
    local op = node.op_type
    if node.name == "" or seen[node.name] then
      local number = next_number[op] or 0
      while taken[op .. "_" .. number] do number = number + 1 end
      node.name, next_number[op], count = op .. "_" .. number, number + 1, count + 1
    end
    seen[node.name], taken[node.name] = true, true
  end
  return count
end

return M
