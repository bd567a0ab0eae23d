--- Before: nodes in the forms of opset 7 to 12    After: those of opset 13, where lists and bounds are inputs
--- Softmax, which worked on all axes from `axis` on, gets Reshapes around it where that are several. Upsample and the
--- old Resize become Resize with the coordinates that they meant.
local axes, pass = require "espquant.axes", require "espquant.pass"
local core = require "espquant.core"

local LAST = 13

local function integers(graph, list) return assert(graph:add_constant(nil, core.tensor_from(list, "int64"))) end

-- Attribute -> input i, as int64.
local function list_to_input(graph, node, name, i)
  local list = axes.attribute(node, name)
  if not list or not node:has_attr(name) or node:input(i) then return end
  node:set_attr(name, nil)
  assert(node:set_input(i, integers(graph, list)))
end

-- Attribute -> input i, a scalar.
local function number_to_input(graph, node, name, i, otherwise)
  local x = pass.attr(node, name, "float")
  local is_given = node:has_attr(name)
  node:set_attr(name, nil)
  if is_given and x and x ~= otherwise then
    assert(node:set_input(i, assert(graph:add_constant(nil, core.tensor_from(x, "float32")))))
  end
end

local M = {}

function M.Squeeze(graph, node) list_to_input(graph, node, "axes", 2) end
M.Unsqueeze, M.ReduceSum = M.Squeeze, M.Squeeze

function M.Split(graph, node) list_to_input(graph, node, "split", 2) end

function M.Slice(graph, node)
  if graph.opset >= 10 then return end
  list_to_input(graph, node, "starts", 2)
  list_to_input(graph, node, "ends", 3)
  list_to_input(graph, node, "axes", 4)
end

function M.Pad(graph, node)
  if graph.opset >= 11 then return end
  list_to_input(graph, node, "pads", 2)
  number_to_input(graph, node, "value", 3, 0.0)
end

function M.Clip(graph, node)
  if graph.opset >= 11 then return end
  number_to_input(graph, node, "min", 2)
  number_to_input(graph, node, "max", 3)
end

local function reshape(graph, node, x, dims)
  local made = { op_type = "Reshape", inputs = { x, integers(graph, dims) }, before = node }
  return assert(graph:add_node(made)):output(1)
end

-- One axis, or two Reshapes around the axes as one. Shapes of which more than one number is open stay.
function M.Softmax(graph, node)
  local x, axis = node:input(1), pass.attr(node, "axis", "integer")
  local shape = x and x.shape
  if not shape or not axis then return end
  if not node:has_attr "axis" then axis = 1 end
  if axis < 0 then axis = axis + #shape end
  node:set_attr("axis", -1)
  if axis >= #shape - 1 then return end
  local width, open, dims = 1, 0, {}
  for i, d in ipairs(shape) do
    local known = math.type(d) == "integer"
    if i > axis then width = known and width * d or nil end
    if not width then return end
    dims[i], open = known and d or -1, open + (known and 0 or 1)
  end
  if open > 1 then return end
  local made = { op_type = node.op_type, name = node.name, inputs = { reshape(graph, node, x, { -1, width }) },
    attrs = { axis = -1 }, before = node }
  local back = reshape(graph, node, assert(graph:add_node(made)):output(1), dims)
  pass.supersede(graph, node, back.producer)
end
M.LogSoftmax = M.Softmax

local function old_resize(graph, node, scales)
  if not scales then return end
  local mode = node:attr "mode"
  local nearest = mode == "nearest" and "floor" or nil
  local made = { op_type = "Resize", name = node.name, inputs = { node:input(1), false, scales }, before = node,
    attrs = { mode = mode, coordinate_transformation_mode = "asymmetric", nearest_mode = nearest } }
  pass.supersede(graph, node, assert(graph:add_node(made)))
end

function M.Resize(graph, node)
  if graph.opset < 11 then old_resize(graph, node, node:input(2)) end
end

function M.Upsample(graph, node)
  local scales = node:input(2)
  if not scales then
    local list = node:attr "scales"
    scales = type(list) == "table" and assert(graph:add_constant(nil, core.tensor_from(list, "float32")))
  end
  old_resize(graph, node, scales)
end

return pass {
  name = "opset",
  run = function(graph)
    if graph.opset >= LAST then return 0 end
    for _, node in ipairs(graph:node_list()) do
      local change = node.domain == "" and M[node.op_type]
      if change then change(graph, node) end
    end
    graph.opset = LAST
    return 1
  end,
}
