--- Which layer of ESP-DL v1 an operator of ONNX becomes: a function for each operator, of the plan and the node.
---
--- A rule asks the plan for its inputs in the order that the layer needs, adds the layer and says where the output is;
--- or adds a problem. What has no rule has no layer.

local core = require "espquant.core"
local window = require "espquant.export.codegen_window"

local M = {}

--- Activations that layers take over.
M.ACTIVATIONS = { Relu = true, LeakyRelu = true, PRelu = true }
--- Operators that read ONNX's own order.
M.MOVES = {
  Transpose = true, Reshape = true, Flatten = true, Squeeze = true, Unsqueeze = true, Gemm = true, MatMul = true,
}

local function vector(list)
  return "{" .. table.concat(list, ", ") .. "}"
end

local function sizes(dims, order)
  local shape = {}
  for i, axis in ipairs(order) do shape[i] = dims[axis] end
  return shape
end

-- --- Conv, Gemm, MatMul ---------------------------------------------------------------------------------------------

-- filter, bias, activation of a layer that has coefficients.
local function coefficients(node, activation)
  return function(c)
    return ("%s, %s, %s"):format(c.getter(node, "filter"), c.getter(node, "bias") or "NULL",
      activation and c.getter(activation, "activation") or "NULL")
  end
end

local function classes(plan, name)
  return ("%s<%s, %s>"):format(name, plan.type, plan.bias_type)
end

local function has_layer_of_groups(plan, node, shape)
  local group = node:attr("group", 1)
  if group == 1 or shape[2] == 1 and shape[1] == group then return true end
  local text = "ESP-DL v1 has no convolution of %d groups with %d input and %d output channels, only depthwise ones"
  plan:problem(node, text, group, shape[2] * group, shape[1])
end

function M.Conv(plan, node)
  local x, y, weight = node:input(1), node:output(1), node:input(2).constant
  local dims, out = plan:dims(x), plan:dims(y)
  if not weight then return plan:problem(node, "its weight is no constant") end
  if not has_layer_of_groups(plan, node, weight.shape) then return end
  local order, shape = plan.image(dims)
  if not order then return plan:problem(node, "ESP-DL v1 convolves over one or two axes") end
  local kernel = { table.unpack(weight.shape, 3) }
  local w, activation = window.of(node, kernel, dims, out), plan:take_activation(node)
  local coefs, e = coefficients(node, activation), plan:exponent(y)
  local depthwise = node:attr("group", 1) ~= 1
  local _, out_shape = plan.image(out)
  plan:layer(node, activation and activation:output(1) or y, {
    class = depthwise and "DepthwiseConv2D" or "Conv2D", header = depthwise and "depthwise_conv2d" or "conv2d",
    template = classes(plan, depthwise and "DepthwiseConv2D" or "Conv2D"), inputs = { plan:need(x, order, shape) },
    arguments = function(c) return ("%d, %s, %s"):format(e, coefs(c), window.arguments(w)) end,
  }, out_shape, out, order)
end

-- Puts the rows of a Gemm's weight, one for each input, into the order of the memory.
local function reorder_weight(plan, node, state)
  local value = node:input(2)
  local t, perm = value.constant, {}
  local inputs_last = node.op_type == "Gemm" and node:attr("transB", 0) ~= 0
  local channels = inputs_last and t.shape[1] or t.shape[2]
  for i, axis in ipairs(state.order) do perm[i] = inputs_last and axis or axis - 1 end
  local shape = { table.unpack(state.dims) }
  if inputs_last then
    table.insert(shape, 1, channels)
    table.insert(perm, 1, 0)
  else
    shape[#shape + 1], perm[#perm + 1] = channels, #perm
  end
  local moved = assert(assert(t:reshape(shape)):transpose(perm)):copy():reshape(t.shape)
  plan:replace_constant(node, 2, moved)
end

local function linear(plan, node)
  local x, y = node:input(1), node:output(1)
  local weight = node:input(2)
  if not weight.constant or weight.constant.rank ~= 2 then
    return plan:problem(node, "its weight is no constant matrix")
  end
  if x.constant then return plan:problem(node, "its first operand is a constant") end
  local out, flat = plan:dims(y), #plan:dims(x) == 1
  local ref = flat and plan.states[x.name].ref or plan:plain(x, plan:dims(x))
  if flat and not plan:is_plain(plan.states[x.name]) then reorder_weight(plan, node, plan.states[x.name]) end
  local activation = plan:take_activation(node)
  local coefs, e, order = coefficients(node, activation), plan:exponent(y), {}
  for i = 1, #out do order[i] = i end
  plan:layer(node, activation and activation:output(1) or y, {
    class = "FullyConnected", header = "fullyconnected", template = classes(plan, "FullyConnected"), inputs = { ref },
    arguments = function(c) return ("%d, %s, %s"):format(e, coefs(c), tostring(flat)) end,
  }, out, out, order)
end

M.Gemm, M.MatMul = linear, linear

-- --- pools ----------------------------------------------------------------------------------------------------------

local function pool(class, header)
  return function(plan, node)
    local x, y = node:input(1), node:output(1)
    local dims, out = plan:dims(x), plan:dims(y)
    local w, average = window.of(node, node:attr "kernel_shape", dims, out), class == "AvgPool2D"
    if w.dilations[1] * w.dilations[2] ~= 1 then return plan:problem(node, "ESP-DL v1 pools without dilations only") end
    if average and node:attr("count_include_pad", 0) ~= 0 and vector(w.pads) ~= "{0, 0, 0, 0}" then
      return plan:problem(node, "its pads count as zeros (count_include_pad), which ESP-DL v1 does not compute")
    end
    local order, shape = plan.image(dims)
    if not order then return plan:problem(node, "ESP-DL v1 pools over one or two axes") end
    local _, out_shape = plan.image(out)
    local e = average and plan:exponent(y) .. ", " or ""
    plan:layer(node, y, {
      class = class, header = header, inputs = { plan:need(x, order, shape) },
      arguments = function() return e .. vector(w.kernel) .. ", " .. window.arguments(w) end,
    }, out_shape, out, order)
  end
end

local function global_pool(class, header)
  return function(plan, node)
    local x, y = node:input(1), node:output(1)
    local dims = plan:dims(x)
    local order, shape = plan.image(dims)
    if not order then return plan:problem(node, "expected an input of rank 3 or 4") end
    local _, out_shape = plan.image(plan:dims(y))
    local e = class == "GlobalAveragePool2D" and ("%d"):format(plan:exponent(y)) or nil
    plan:layer(node, y, {
      class = class, header = header, inputs = { plan:need(x, order, shape) }, arguments = function() return e end,
    }, out_shape, plan:dims(y), order)
  end
end

M.MaxPool, M.AveragePool = pool("MaxPool2D", "max_pool2d"), pool("AvgPool2D", "avg_pool2d")
M.GlobalMaxPool = global_pool("GlobalMaxPool2D", "global_max_pool2d")
M.GlobalAveragePool = global_pool("GlobalAveragePool2D", "global_avg_pool2d")

-- --- activations that no layer takes over ---------------------------------------------------------------------------

--- Gives a PRelu one slope for each channel, which is all that the runtime has; whether that can be.
function M.channel_slopes(plan, node, dims)
  if node.op_type ~= "PRelu" then return true end
  local slope = node:input(2).constant
  local channels = slope and (plan.model:value(node:input(1).name).shape or {})[2]
  if not slope or slope.count ~= 1 and slope.count ~= channels or #dims == 0 then
    plan:problem(node, "its slope is no constant of one number for each channel")
    return false
  end
  if slope.count == channels then return true end
  local all = core.tensor { channels } + slope:reshape { 1 }
  local shape = { channels }
  for i = 2, #dims do shape[i] = 1 end
  plan:replace_constant(node, 2, all:reshape(shape))
  return true
end

local function same_exponent(plan, node)
  local from, to = plan:exponent(node:input(1)), plan:exponent(node:output(1))
  if from == to then return true end
  plan:problem(node, "its input has the exponent %d and its output %d, which ESP-DL v1 keeps equal", from, to)
end

local function activation(class, header, arguments)
  return function(plan, node)
    local x, y = node:input(1), node:output(1)
    local state, dims = plan.states[x.name], plan:dims(x)
    if not (same_exponent(plan, node) and M.channel_slopes(plan, node, dims)) then return end
    local ref, order = state.ref, state.order
    if class == "PRelu" and #dims > 1 then
      local shape
      order, shape = plan.image(dims)
      if not order then return plan:problem(node, "ESP-DL v1 knows channels of images only") end
      ref, state = plan:need(x, order, shape), { dims = dims }
    end
    plan:layer(node, y, {
      class = class, header = header, inputs = { ref },
      arguments = function(c) return arguments(c, node) end,
    }, ref.shape, state.dims, order)
  end
end

M.Relu = activation("Relu", "relu", function() end)
M.LeakyRelu = activation("LeakyRelu", "leakyrelu", function(c, node)
  local a = c.getter(node, "activation")
  return ("%s->element[0], %s->exponent"):format(a, a)
end)
M.PRelu = activation("PRelu", "prelu", function(c, node)
  local a = c.getter(node, "activation")
  return ("%s->element, %s->exponent"):format(a, a)
end)

-- --- two operands ---------------------------------------------------------------------------------------------------

-- Both operands in one order and shape; nothing after adding a problem.
local function operands(plan, node)
  local first
  for _, value in ipairs(node.inputs) do
    if not value.constant then first = first or value end
  end
  if not first then return plan:problem(node, "all its operands are constants") end
  local dims, state = plan:dims(first), plan.states[first.name]
  local refs = {}
  for i, value in ipairs(node.inputs) do
    if value.constant then
      refs[i] = plan:constant(node, i, dims, state.order, state.ref.shape)
    elseif table.concat(value.shape, ",") ~= table.concat(node:output(1).shape, ",") then
      return plan:problem(node, "'%s' is spread over its other operand; ESP-DL v1 takes operands of one shape",
        value.name)
    else
      refs[i] = plan:need(value, state.order, state.ref.shape)
    end
  end
  return refs, dims, state.order
end

-- The operands at the output's exponent, which the runtime's comparisons need: constants are floored here.
local function align(plan, node, refs)
  local e, q = plan:exponent(node:output(1)), plan:q_node(node)
  for i, value in ipairs(q.inputs) do
    local from = value.quant.exponents[1]
    if from ~= e and refs[i].constant then refs[i].constant:rescale(e)
    elseif from ~= e then refs[i] = plan:rescale(node, refs[i], from, e) end
  end
end

-- Sub2D::call of ESP-DL v1.1 sets its output's exponent to that of the first operand, whatever it was made with.
local function warn_of_sub(plan, node)
  local first, e = plan:q_node(node):input(1).quant.exponents[1], plan:exponent(node:output(1))
  if first == e then return end
  local text = "%s: Sub2D of ESP-DL v1.1 may take the first operand's exponent %d in place of %d: watch its test"
  plan.warnings[#plan.warnings + 1] = text:format(node:label(), first, e)
end

local function binary(class, header, needs_equal)
  return function(plan, node)
    if #node.inputs ~= 2 then return plan:problem(node, "has %d operands, ESP-DL v1 takes two", #node.inputs) end
    local refs, dims, order = operands(plan, node)
    if not refs then return end
    if class == "Sub2D" then warn_of_sub(plan, node) end
    if needs_equal then align(plan, node, refs) end
    local y = node:output(1)
    local e = not needs_equal and ("%d, NULL"):format(plan:exponent(y)) or nil
    plan:layer(node, y, {
      class = class, header = header, inputs = refs, arguments = function() return e end,
    }, refs[1].shape, dims, order)
  end
end

M.Add, M.Sub, M.Mul = binary("Add2D", "add2d"), binary("Sub2D", "sub2d"), binary("Mul2D", "mul2d")
M.Max, M.Min = binary("Max2D", "max2d", true), binary("Min2D", "min2d", true)

-- --- Concat, Pad ----------------------------------------------------------------------------------------------------

local function index_of(list, x)
  for i, y in ipairs(list) do
    if y == x then return i end
  end
end

function M.Concat(plan, node)
  local y, refs = node:output(1), {}
  local rank, axis = #y.shape, node:attr "axis"
  axis = axis < 0 and axis + rank or axis
  if axis == 0 then return plan:problem(node, "joins images, and the runtime has no batch axis") end
  if #node.inputs == 1 then return M.Identity(plan, node) end
  local dims, order = plan:dims(y), nil
  for i, value in ipairs(node.inputs) do
    local own = plan:dims(value) or {}
    if #own > 3 then return plan:problem(node, "has rank %d, expected at most 4", #own + 1) end
    local image_order, image_shape = plan.image(own)
    local shape = image_shape or own
    order = image_order or { 1 }
    refs[i] = value.constant and plan:constant(node, i, own, order, shape) or plan:need(value, order, shape)
  end
  local out_shape = select(2, plan.image(dims)) or dims
  local place = index_of(order, axis) + #out_shape - #order - 1
  plan:layer(node, y, {
    class = "Concat", header = "concat", inputs = refs, joins = true,
    arguments = function() return ("%d"):format(place) end,
  }, out_shape, dims, order)
end

local PAD_MODES = { constant = "dl::PADDING_CONSTANT", edge = "dl::PADDING_EDGE", reflect = "dl::PADDING_REFLECT" }

-- The pads of a Pad, for each axis of the memory before and after; nothing after adding a problem.
local function pads_in_memory(plan, node, order)
  local given, rank, list = node:attr "pads" or node:input(2) and node:input(2).constant, #node:input(1).shape, {}
  local pads = type(given) == "table" and given or given and given:totable() or {}
  if #pads ~= 2 * rank or pads[1] ~= 0 or pads[rank + 1] ~= 0 then
    return plan:problem(node, "expected constant pads of all axes, none of them for the batch")
  end
  for i, axis in ipairs(order) do list[2 * i - 1], list[2 * i] = pads[axis + 1], pads[rank + axis + 1] end
  for _, n in ipairs(list) do
    if n < 0 then return plan:problem(node, "has the pad %d; ESP-DL v1 cannot cut", n) end
  end
  return list
end

function M.Pad(plan, node)
  local x, y, mode = node:input(1), node:output(1), PAD_MODES[node:attr("mode", "constant")]
  local state, out = plan.states[x.name], plan:dims(y)
  if not mode then return plan:problem(node, "its mode has no form in ESP-DL v1") end
  local pads = pads_in_memory(plan, node, state.order)
  if not pads then return end
  local value = plan:q_node(node):input(3)
  local fill = value and value.constant and value.constant:item() or 0
  plan:layer(node, y, {
    class = "Pad", header = "pad", inputs = { plan:need(x, state.order, sizes(plan:dims(x), state.order)) },
    arguments = function() return ("%s, {%d}, %s"):format(vector(pads), fill, mode) end,
  }, sizes(out, state.order), out, state.order)
end

-- --- what moves nothing ---------------------------------------------------------------------------------------------

function M.Identity(plan, node)
  local state = plan.states[node:input(1).name]
  plan:put(node:output(1), state.ref, state.dims, state.order)
end

M.Dropout = M.Identity

-- Whether all that follows takes a row of numbers in any order: Gemms, directly or behind activations.
local function any_order(value)
  if value.is_output or #value.shape ~= 2 then return false end
  for _, node in ipairs(value:users()) do
    local linear_input = (node.op_type == "Gemm" or node.op_type == "MatMul") and node:input(1) == value
    local passes = node.op_type == "Relu" or node.op_type == "LeakyRelu" or node.op_type == "Identity"
    if not (linear_input or passes and any_order(node:output(1))) then return false end
  end
  return true
end

local function reshape(plan, node)
  local x, y = node:input(1), node:output(1)
  local state, dims = plan.states[x.name], plan:dims(y)
  if any_order(y) then return plan:put(y, state.ref, state.dims, state.order) end
  local order = {}
  for i = 1, #dims do order[i] = i end
  plan:put(y, plan:plain(x), dims, order)
end

M.Reshape, M.Flatten, M.Squeeze, M.Unsqueeze = reshape, reshape, reshape, reshape

function M.Transpose(plan, node)
  local x, y, perm = node:input(1), node:output(1), node:attr "perm"
  local dims, order, to = plan:dims(x), {}, {}
  for i = 1, #dims + 1 do
    local from = perm and perm[i] or #dims + 1 - i
    if (i == 1) ~= (from == 0) then
      return plan:problem(node, "moves the batch axis, which the runtime does not have")
    end
    to[from] = i - 1
  end
  local state = plan.states[x.name]
  for i, axis in ipairs(state.order) do order[i] = to[axis] end
  plan:put(y, state.ref, plan:dims(y), order)
end

return M
