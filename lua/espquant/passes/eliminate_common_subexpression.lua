--- Before: two nodes of the same operator, attributes and inputs    After: the first serves all readers
--- What draws random numbers stays, and a node that makes a graph output while the first does so, too.
local pass = require "espquant.pass"
local core = require "espquant.core"

local RANDOM = {
  Bernoulli = true, Dropout = true, Multinomial = true, RandomNormal = true, RandomNormalLike = true,
  RandomUniform = true, RandomUniformLike = true,
}

local function text(value)
  if type(value) == "userdata" then
    return ("%s[%s]%s"):format(value.dtype, table.concat(value.shape, ","), core.sha256(value:tobytes()))
  end
  if math.type(value) == "float" then return ("%a"):format(value) end
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for i, entry in ipairs(value) do parts[i] = text(entry) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Equal for nodes that compute the same.
local function key(node)
  local parts, names = { node.domain, node.op_type, #node.outputs }, {}
  for _, value in ipairs(node.inputs) do parts[#parts + 1] = ("%q"):format(value and value.name or "") end
  local attrs = node:attrs()
  for name in pairs(attrs) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = name .. "=" .. text(attrs[name]) end
  return table.concat(parts, "|")
end

local function has_output(node)
  for _, value in ipairs(node.outputs) do
    if value and value.is_output then return true end
  end
  return false
end

local function share(graph, node, first)
  if has_output(node) and (has_output(first) or #node.outputs > 1) then return false end
  for i, value in ipairs(node.outputs) do
    local other = first:output(i)
    if (not value) ~= (not other) then return false end
  end
  for i, value in ipairs(node.outputs) do
    if value then assert(graph:replace(value, first:output(i))) end
  end
  return node:remove()
end

return pass {
  name = "eliminate_common_subexpression",
  run = function(graph)
    local first, count = {}, 0
    for _, node in ipairs(graph:node_list()) do
      local k = not RANDOM[node.op_type] and key(node)
      if k and first[k] then
        if share(graph, node, first[k]) then count = count + 1 end
      elseif k then first[k] = node end
    end
    return count
  end,
}
