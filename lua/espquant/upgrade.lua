--- Operators as opset 6 has them, in the form of opset 7: reading a file ends with this, so that nothing behind has to
--- know attributes that ONNX gave up. What changed between the two (ONNX's changelog): functions of two tensors
--- broadcast by attributes, inference is marked by `is_test`, recurrent operators have `output_sequence`.
---
---     Before: Add(x: N,C,H,W  b: C) broadcast=1 axis=1      After: Add(x, Unsqueeze(b, axes=[1,2]))


local M = {}

local BROADCASTS = { "Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less", "Gemm" }
local OBSOLETE = { "broadcast", "axis", "is_test", "output_sequence", "consumed_inputs" }
local RECURRENT = { "LSTM", "GRU", "RNN" }

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

local broadcasts, recurrent = set(BROADCASTS), set(RECURRENT)
local inference = { BatchNormalization = true, Dropout = true }

local function rank(value) return value and value.shape and #value.shape end

-- A PRelu's slopes of rank 1 belong to the channels.
local function channel_slopes(node)
  local a, b = rank(node:input(1)), node:input(2)
  return rank(b) == 1 and b.shape[1] ~= 1 and a and math.max(a - 2, 0) or 0
end

-- How many axes of length 1 the second operand needs at its end to stand at `axis` of the first, none where both end
-- together; nil: not known.
local function trailing(node, axis)
  local a, b = rank(node:input(1)), rank(node:input(2))
  if axis == -1 then return 0 end
  return a and b and (axis >= 0 and axis <= a and a - axis - b or -1)
end

-- The second operand with n axes of length 1 behind its own.
local function extend(graph, node, n)
  local b, shape, axes = node:input(2), {}, {}
  for i, d in ipairs(b.shape) do shape[i] = d end
  for _ = 1, n do
    axes[#axes + 1] = #shape
    shape[#shape + 1] = 1
  end
  if b.constant then return graph:add_constant(nil, b.constant:reshape(shape)) end
  return graph:add_node { op_type = "Unsqueeze", inputs = { b }, attrs = { axes = axes }, before = node }:output(1)
end

-- Shapes of what comes before `node` are known afterwards, as far as they can be.
local function broadcast(graph, node)
  if node:attr("broadcast", 0) == 0 or node.op_type == "Gemm" or not node:input(2) then return end
  local axis = node:attr("axis", -1)
  if math.type(axis) ~= "integer" then return ("%s: attribute 'axis' is no integer"):format(node:label()) end
  local n = trailing(node, axis)
  if not n then
    graph:infer_shapes()
    n = trailing(node, axis)
  end
  if not n or n < 0 then
    return ("%s: its second operand cannot be placed at axis %d of the first"):format(node:label(), axis)
  end
  if n > 0 then node:set_input(2, extend(graph, node, n)) end
end

local function slopes(graph, node)
  if not node:input(2) then return end
  if rank(node:input(2)) == 1 and not rank(node:input(1)) then graph:infer_shapes() end
  local n = channel_slopes(node)
  if n > 0 then node:set_input(2, extend(graph, node, n)) end
end

local function is_old(node)
  return node.domain == "" and (broadcasts[node.op_type] or inference[node.op_type] or recurrent[node.op_type])
end

--- Brings a graph of opset 6 to opset 7, in place; others stay as they are. True, or nil, message, code.
function M.upgrade(graph)
  if graph.opset ~= 6 then return true end
  for _, node in ipairs(graph:node_list()) do
    local problem = node.domain == "" and broadcasts[node.op_type] and broadcast(graph, node)
    if problem then return nil, problem, "format" end
    if node.op_type == "PRelu" and node.domain == "" then slopes(graph, node) end
    for _, name in ipairs(is_old(node) and OBSOLETE or {}) do
      if node:has_attr(name) then node:set_attr(name, nil) end
    end
  end
  graph.opset = 7
  return true
end

return M
