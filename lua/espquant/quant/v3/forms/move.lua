--- Before: Split without sizes         After: Split with its sizes in input 2
--- Before: Pad with axes               After: Pad with pads for all axes
--- Before: DepthToSpace(x) of mode CRD  After: Gather, which puts the channels in the order of mode DCR -> DepthToSpace
--- Before: SpaceToDepth(x)             After: esp.SpaceToDepth(x), whose channels have the runtime's order -> Gather
local axes, pass = require "espquant.axes", require "espquant.pass"
local core = require "espquant.core"

local function integers(graph, list) return assert(graph:add_constant(nil, core.tensor_from(list, "int64"))) end

local MOST = 1 << 20 -- channels that are put in order; more are hardly meant

local M = {}

function M.Split(graph, node)
  local axis, sizes = pass.attr(node, "axis", "integer"), {}
  if node:input(2) or not axis then return false end
  for i, value in ipairs(node.outputs) do
    local shape = value and value.shape
    sizes[i] = shape and shape[axis < 0 and axis + #shape + 1 or axis + 1]
  end
  if #sizes ~= #node.outputs or not axes.known(sizes) then return false end
  node:set_attr("num_outputs", nil)
  assert(node:set_input(2, integers(graph, sizes)))
  return true
end

function M.Pad(graph, node)
  local rank = axes.rank(node:input(1))
  local pads, list = axes.constant_list(node, 2), node:input(4) and axes.constant_list(node, 4)
  if not pads or not list or not rank or #pads ~= 2 * #list then return false end
  local all = {}
  for i = 1, 2 * rank do all[i] = 0 end
  for i, axis in ipairs(list) do
    axis = axis < 0 and axis + rank or axis
    if axis < 0 or axis >= rank then return false end
    all[axis + 1], all[rank + axis + 1] = pads[i], pads[#list + i]
  end
  assert(node:set_input(4, false))
  pass.set_constant(graph, node, 2, core.tensor_from(all, "int64"), "pads")
  return true
end

-- CRD counts (channel, place in the block), DCR (place, channel).
function M.DepthToSpace(graph, node)
  local block, shape = pass.attr(node, "blocksize", "integer"), node:input(1).shape
  local all = shape and shape[2]
  if node:attr("mode", "DCR") ~= "CRD" or not block or math.type(all) ~= "integer" or all > MOST then return false end
  local order, places = {}, block * block
  for place = 0, places - 1 do
    for c = 0, all // places - 1 do order[#order + 1] = c * places + place end
  end
  local gather = assert(graph:add_node { op_type = "Gather", name = node.name ~= "" and node.name .. "_order" or nil,
    inputs = { node:input(1), integers(graph, order) }, attrs = { axis = 1 }, before = node })
  assert(node:set_input(1, gather:output(1)))
  node:set_attr("mode", "DCR")
  return true
end

-- ONNX counts (place in the block, channel), the runtime (channel, place).
function M.SpaceToDepth(graph, node)
  local block, shape = pass.attr(node, "blocksize", "integer"), node:input(1).shape
  local channels = shape and shape[2]
  if not block or math.type(channels) ~= "integer" or block > MOST or channels > MOST
    or channels * block * block > MOST then
    return false
  end
  local made = assert(graph:add_node { op_type = "SpaceToDepth", domain = "esp", name = node.name, before = node,
    inputs = { node:input(1) }, attrs = { blocksize = block } })
  local order = {}
  for place = 0, block * block - 1 do
    for c = 0, channels - 1 do order[#order + 1] = c * block * block + place end
  end
  local gather = assert(graph:add_node { op_type = "Gather", name = node.name ~= "" and node.name .. "_order" or nil,
    inputs = { made:output(1), integers(graph, order) }, attrs = { axis = 1 }, before = node })
  return pass.supersede(graph, node, gather)
end

return pass {
  name = "move",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local change = node.domain == "" and M[node.op_type]
      if change and change(graph, node) then count = count + 1 end
    end
    return count
  end,
}
