--- Before: Shape(x) -> Gather, Slice, Concat, Mul ... -> Reshape(y, .) with x: N,64,7,7
--- After:  Reshape(y, {0 or -1, 3136}): what is known is a constant, the open dimension follows the data
---
--- A vector of numbers alone becomes a constant. Of a Reshape's target one element may stay open (-1), and those that
--- are the input's own dimension at their place (0); of an Expand's, those that are the input's own (1). A Resize's
--- sizes of which some are the input's own become scales (1). A dimension without a name is no other's equal.
local pass = require "espquant.pass"
local vectors = require "espquant.shape_vectors"
local core = require "espquant.core"

-- The result of a node becomes a constant. Shape is the end of many chains, so even one that is read once goes.
local function fold(graph, node, list, dtype)
  local tensor = core.tensor_from(list, "int64", list.scalar and {} or { #list }):astype(dtype)
  local constant = assert(graph:add_constant(nil, tensor))
  if pass.replace(graph, node, constant) then return true end
  graph:remove_value(constant)
  return false
end

-- What a Reshape's target may say instead: the input's own dimension at this place is 0, one other may be -1.
local function reshape_target(node, list)
  local own, target, open, zero = vectors.dimensions(node:input(1)) or {}, {}, 0, false
  local copies = (pass.attr(node, "allowzero", "integer") or 0) == 0
  for i, d in ipairs(list) do
    if math.type(d) == "integer" then target[i], zero = d, zero or d == 0
    elseif copies and own[i] == d then target[i] = 0
    else target[i] = -1 end
    if target[i] == -1 then open = open + 1 end
  end
  return open <= 1 and (copies or not zero) and target
end

-- An Expand's: the input's own dimension, counted from the end, is 1.
local function expand_target(node, list)
  local own, target = vectors.dimensions(node:input(1)), {}
  for i, d in ipairs(list) do
    target[i] = d
    if math.type(d) ~= "integer" then
      if not own or own[i + #own - #list] ~= d then return nil end
      target[i] = 1
    end
  end
  return target
end

local targets = { Reshape = reshape_target, Expand = expand_target }

local function close_target(graph, node, elements)
  local rule, shape = node.domain == "" and targets[node.op_type], node:input(2)
  local list = rule and shape and not shape.constant and elements(shape)
  local target = list and not list.scalar and #list > 0 and rule(node, list)
  if not target then return false end
  local producer = shape.producer
  pass.set_constant(graph, node, 2, core.tensor_from(target, "int64"), "shape")
  if producer then pass.release(graph, producer) end
  return true
end

-- size / d as float32, where that gives the size again; 1 for the input's own dimension.
local function scale_of(size, d)
  if size == d then return 1.0 end
  if math.type(size) ~= "integer" or math.type(d) ~= "integer" or d <= 0 or size <= 0 then return nil end
  local scale = string.unpack("<f", string.pack("<f", size / d))
  return math.floor(d * scale) == size and scale or nil
end

local function scales_of(node, list)
  local own, scales = vectors.dimensions(node:input(1)), {}
  if not own or #own ~= #list or node:has_attr "axes" then return nil end
  if node:attr("keep_aspect_ratio_policy", "stretch") ~= "stretch" then return nil end
  for i, size in ipairs(list) do
    scales[i] = scale_of(size, own[i])
    if not scales[i] then return nil end
  end
  return scales
end

-- Sizes that are numbers alone become a constant like every other vector.
local function close_sizes(graph, node, elements)
  local sizes = node.op_type == "Resize" and node.domain == "" and graph.opset >= 11 and node:input(4)
  local list = sizes and not sizes.constant and not vectors.numbers(elements(sizes)) and elements(sizes)
  local scales = list and not list.scalar and scales_of(node, list)
  if not scales then return false end
  assert(node:set_input(4, false))
  pass.set_constant(graph, node, 3, core.tensor_from(scales, "float32"), "scales")
  if sizes.producer then pass.release(graph, sizes.producer) end
  return true
end

local function change(graph, node, elements)
  local result = node:output(1)
  local list = result and result.dtype and result:use_count() > 0 and vectors.numbers(elements(result))
  return (list and fold(graph, node, list, result.dtype)) or close_target(graph, node, elements)
    or close_sizes(graph, node, elements)
end

return pass {
  name = "fold_shapes",
  run = function(graph)
    local elements, count = vectors.follow(graph), 0
    for _, node in ipairs(graph:node_list()) do
      if node.alive and change(graph, node, elements) then count = count + 1 end
    end
    if count > 0 then graph:infer_shapes() end -- what a target says now may tell the next shape
    return count
  end,
}
