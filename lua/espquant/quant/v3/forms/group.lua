--- Before: Conv of 1 < group < channels         After: Split -> one Conv for each group -> Concat
--- Before: Conv of group = channels with m filters for each channel, m > 1
--- After:  m Convs with one filter for each channel -> Concat -> Gather, which puts the channels in order
--- The chip's kernels know group 1, and one filter for each channel.
local pass = require "espquant.pass"
local core = require "espquant.core"

local MOST = 1024 -- Convs in place of one; the check refuses what has more

local function integers(graph, list) return assert(graph:add_constant(nil, core.tensor_from(list, "int64"))) end

local function named(node, suffix) return node.name ~= "" and node.name .. suffix or nil end

-- A Conv like `node` that reads x with these rows of the weight and bias; `group` of its own.
local function part(graph, node, x, rows, group, suffix)
  local attrs = node:attrs()
  attrs.group = group
  local w, b = node:input(2).constant:take_rows(rows), node:input(3) and node:input(3).constant:take_rows(rows)
  local inputs = { x, assert(graph:add_constant(nil, w)), b and assert(graph:add_constant(nil, b)) }
  local made = { op_type = "Conv", name = named(node, suffix), inputs = inputs, attrs = attrs, before = node }
  return assert(graph:add_node(made)):output(1)
end

local function concat(graph, node, parts)
  return assert(graph:add_node { op_type = "Concat", name = named(node, "_concat"), inputs = parts,
    attrs = { axis = 1 }, before = node })
end

local function by_group(graph, node, channels, filters, group)
  local sizes, parts = {}, {}
  for g = 1, group do sizes[g] = channels // group end
  local split = assert(graph:add_node { op_type = "Split", name = named(node, "_split"), outputs = group,
    inputs = { node:input(1), integers(graph, sizes) }, attrs = { axis = 1 }, before = node })
  for g = 1, group do
    local rows = {}
    for i = 1, filters // group do rows[i] = (g - 1) * (filters // group) + i end
    parts[g] = part(graph, node, split:output(g), rows, 1, "_group" .. g)
  end
  return pass.supersede(graph, node, concat(graph, node, parts))
end

local function by_multiplier(graph, node, channels, filters)
  local m, parts, order = filters // channels, {}, {}
  for j = 1, m do
    local rows = {}
    for c = 1, channels do
      rows[c] = (c - 1) * m + j
      order[rows[c]] = (j - 1) * channels + c - 1
    end
    parts[j] = part(graph, node, node:input(1), rows, channels, "_filter" .. j)
  end
  local gather = assert(graph:add_node { op_type = "Gather", name = named(node, "_order"), attrs = { axis = 1 },
    inputs = { concat(graph, node, parts):output(1), integers(graph, order) }, before = node })
  return pass.supersede(graph, node, gather)
end

local function rewrite(graph, node)
  local group, w, b = pass.attr(node, "group", "integer"), node:input(2), node:input(3)
  local t = w and w.constant
  if not group or group <= 1 or not t or t.dtype ~= "float32" or b and not b.constant then return false end
  local filters, channels = t.shape[1], t.shape[2] * group
  if filters == channels and group == channels or filters % group ~= 0 or t.count == 0 then return false end
  if math.max(group == channels and 1 or group, filters // channels) > MOST then return false end
  if group == channels then return by_multiplier(graph, node, channels, filters) end
  return by_group(graph, node, channels, filters, group)
end

return pass {
  name = "group",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      if node.op_type == "Conv" and node.domain == "" and rewrite(graph, node) then count = count + 1 end
    end
    return count
  end,
}
