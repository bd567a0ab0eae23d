--- Attributes that a file leaves out, written out: readers that do not know ONNX's defaults then need none.
---
---     Before: Conv(x, w)      After: Conv(x, w) strides=[1,1] dilations=[1,1] pads=[0,0,0,0] group=1 ...
---
--- The defaults of numbers and texts are those of the operator rows, where the model's opset has that attribute. Lists
--- have as many entries as the node has axes, and so need to know its shapes.

local core = require "espquant.core"

local M = {}

-- Attributes by the opsets that have them: { first, last }. All others have been there since the row's first opset.
local NEVER = { 1, 0 }
local OPSETS = {
  AveragePool = { ceil_mode = { 10 }, count_include_pad = { 7 }, dilations = { 19 } },
  BatchNormalization = { spatial = { 1, 8 }, training_mode = { 14 } },
  Cast = { saturate = { 19 }, round_mode = { 24 } },
  Clip = { min = { 6, 10 }, max = { 6, 10 } },
  DepthToSpace = { mode = { 11 } },
  Dropout = { ratio = { 1, 11 }, seed = NEVER }, -- without a seed there is none: 0 would be one
  MaxPool = { ceil_mode = { 10 }, dilations = { 10 }, storage_order = { 8 } },
  Pad = { value = { 2, 10 } },
  Reshape = { allowzero = { 14 } },
  Resize = {
    antialias = { 18 }, coordinate_transformation_mode = { 11 }, cubic_coeff_a = { 11 }, exclude_outside = { 11 },
    extrapolation_value = { 11 }, keep_aspect_ratio_policy = { 18 }, nearest_mode = { 11 },
  },
  ScatterND = { reduction = { 16 } },
  Shape = { start = { 15 }, ["end"] = NEVER }, -- no end is the rank
  Split = { num_outputs = NEVER }, -- without it there are as many as the node has
}
-- Reductions took the attribute with their axes as an input.
for _, name in ipairs { "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp" } do
  OPSETS["Reduce" .. name] = { noop_with_empty_axes = { 18 } }
end
for _, name in ipairs { "LSTM", "GRU", "RNN" } do
  OPSETS[name] = { clip = NEVER, hidden_size = NEVER, layout = { 14 } } -- no clip; the size is the weights'
end
OPSETS.ReduceSum = { noop_with_empty_axes = { 13 } }

local function has(node, name, opset)
  local range = (OPSETS[node.op_type] or {})[name]
  return not range or opset >= range[1] and opset <= (range[2] or math.huge)
end

-- Softmax works along the last axis since opset 13, before it on everything from axis 1 on.
local AXIS_1 = { Softmax = true, LogSoftmax = true }

local function filled(n, value)
  local list = {}
  for i = 1, n do list[i] = value end
  return list
end

-- The sizes of the window, from the attribute or, of a Conv, the weight.
local function window(node)
  local kernel, weight = node:attr "kernel_shape", node:input(2)
  if node:has_attr "kernel_shape" then return kernel end
  local shape = node.op_type:match "^Conv" and weight and weight.shape
  if not shape or #shape < 3 then return nil end
  for i = 3, #shape do
    if math.type(shape[i]) ~= "integer" then return nil end
  end
  return { table.unpack(shape, 3) }
end

-- What the lists are when they are absent.
local function window_lists(node)
  local kernel = window(node)
  if not kernel then return {} end
  local explicit = node:attr "auto_pad" == "NOTSET"
  return {
    kernel_shape = kernel, strides = filled(#kernel, 1), dilations = filled(#kernel, 1),
    pads = explicit and filled(2 * #kernel, 0) or nil, -- auto_pad and pads exclude each other
  }
end

local function transpose_lists(node)
  local shape, perm = node:input(1).shape, {}
  if not shape then return {} end
  for i = #shape, 1, -1 do perm[#perm + 1] = i - 1 end
  return { perm = perm }
end

local LISTS = {
  Conv = window_lists, ConvTranspose = window_lists, MaxPool = window_lists, AveragePool = window_lists,
  Transpose = transpose_lists,
}

local function default(node, spec, lists, opset)
  if spec.kind == "ints" then return lists[spec.name] end
  if AXIS_1[node.op_type] and spec.name == "axis" and opset < 13 then return 1 end
  return spec.default
end

-- A node of our row's first opset or later, so that its attributes are the row's.
local function complete(node, row, opset)
  local lists = (LISTS[node.op_type] or function() return {} end)(node)
  for _, spec in ipairs(row.attrs) do
    if not node:has_attr(spec.name) and has(node, spec.name, opset) then
      local value = default(node, spec, lists, opset)
      if value ~= nil then node:set_attr(spec.name, value, spec.kind) end
    end
  end
end

--- Writes out the defaults of every node of the graph, in place; nodes of operators that are not known stay as they
--- are.
function M.complete(graph)
  for node in graph:nodes() do
    local row = core.op(node.op_type, node.domain)
    if row and graph.opset >= row.since then complete(node, row, graph.opset) end
  end
end

return M
