--- From a model to the layers of ESP-DL v1 in the order of their calls, with the memory order of every tensor.
---
---     local plan = codegen_plan.new { model = graph, q = quantized_graph, type = "int8_t", bias_type = "int16_t" }
---     plan:build()
---     if #plan.problems > 0 then ... end       -- plan.layers, plan.constants, plan.outputs, plan.input
---
--- The runtime has no batch axis and holds images as H, W, C, ONNX as C, H, W. So every tensor has a state: its `dims`
--- without batch as ONNX counts them, `order`, which of them the memory has from slowest to fastest, and `ref`, the
--- C++ object of some shape that holds it. Reshape, Flatten, Squeeze, Unsqueeze and Transpose are states, not layers:
--- only what moves memory becomes a layer, where a reader needs it. A Gemm takes any order: its weight is reordered.
---
--- A layer is {class =, header =, inputs = {ref ...}, node = | nil, value = | nil, state =, arguments = function(c)}.

local core = require "espquant.core"
local errors = require "espquant.errors"
local rules = require "espquant.export.codegen_rules"

local Plan = {}
Plan.__index = Plan

local M = {}

--- `options`: model (float, images of N = 1; its weights are reordered in place), q (its quantized form), type and
--- bias_type ("int8_t" or "int16_t").
function M.new(options)
  local self = setmetatable({
    problems = {}, layers = {}, constants = {}, outputs = {}, states = {}, fused = {}, moved = {},
    aliases = {}, warnings = {},
  }, Plan)
  for key, value in pairs(options) do self[key] = value end
  return self
end

-- Returns nothing, for `return self:problem(...)`.
function Plan:problem(node, text, ...)
  self.problems[#self.problems + 1] = ("%s: %s"):format(node:label(), text:format(...))
end

-- --- states ---------------------------------------------------------------------------------------------------------

local function identity(n)
  local order = {}
  for i = 1, n do order[i] = i end
  return order
end

-- The axes that are longer than 1, as they lie in memory: orders with the same list are the same memory.
local function order_key(dims, order)
  local list = {}
  for _, axis in ipairs(order) do
    if dims[axis] ~= 1 then list[#list + 1] = axis end
  end
  return table.concat(list, ",")
end

local function sizes(dims, order)
  local shape = {}
  for i, axis in ipairs(order) do shape[i] = dims[axis] end
  return shape
end

local function same_list(a, b)
  return table.concat(a, ",") == table.concat(b, ",")
end

--- The lengths of a value's axes without the batch, or nil: the first is not 1, or one is not known.
function Plan.dims(_, value)
  local shape, dims = value.shape, {}
  if not shape or shape[1] ~= 1 then return nil end
  for i = 2, #shape do
    if math.type(shape[i]) ~= "integer" then return nil end
    dims[i - 1] = shape[i]
  end
  return dims
end

--- The order of images, and the shape in which layers of two dimensions take them: H, W, C; a row is 1, L, C.
function Plan.image(dims)
  if #dims == 3 then return { 2, 3, 1 }, { dims[2], dims[3], dims[1] } end
  if #dims == 2 then return { 2, 1 }, { 1, dims[2], dims[1] } end
end

--- The exponent of a tensor.
function Plan:exponent(value)
  return self.q:value(value.name).quant.exponents[1]
end

--- The node of the quantized graph that makes the same tensor.
function Plan:q_node(node)
  return self.q:value(node:output(1).name).producer
end

--- Says where a value is.
function Plan:put(value, ref, dims, order)
  self.states[value.name] = { ref = ref, dims = dims, order = order }
end

--- Adds a layer; its output is `shape` in C++.
function Plan:add(layer, shape)
  layer.index, layer.ref = #self.layers + 1, { shape = shape }
  layer.ref.layer = layer
  self.layers[layer.index] = layer
  return layer.ref
end

--- Adds the layer of a node; `value` (its output, or that of a fused activation) is now its output.
function Plan:layer(node, value, layer, shape, dims, order)
  layer.node, layer.value = node, value
  self:put(value, self:add(layer, shape), dims, order)
  layer.state = self.states[value.name]
end

local function vector(list)
  return "{" .. table.concat(list, ", ") .. "}"
end

function Plan:reshape(ref, shape)
  if same_list(ref.shape, shape) then return ref end
  return self:add({
    class = "Reshape", header = "reshape", inputs = { ref }, arguments = function() return vector(shape) end,
  }, shape)
end

function Plan:transpose(state, order)
  local ref, at, perm = self:reshape(state.ref, sizes(state.dims, state.order)), {}, {}
  for i, axis in ipairs(state.order) do at[axis] = i - 1 end
  for i, axis in ipairs(order) do perm[i] = at[axis] end
  return self:add({
    class = "Transpose", header = "transpose", inputs = { ref }, arguments = function() return vector(perm) end,
  }, sizes(state.dims, order))
end

--- A C++ object that holds the value in this order and shape; moves are made once for all readers.
function Plan:need(value, order, shape)
  local state = self.states[value.name]
  local key = table.concat({ value.name, table.concat(order, ","), shape and table.concat(shape, ",") or "" }, "|")
  if not self.moved[key] then
    local ref = state.ref
    if order_key(state.dims, order) ~= order_key(state.dims, state.order) then ref = self:transpose(state, order) end
    self.moved[key] = shape and self:reshape(ref, shape) or ref
  end
  return self.moved[key]
end

--- The value in ONNX's own order.
function Plan:plain(value, shape)
  return self:need(value, identity(#self.states[value.name].dims), shape)
end

function Plan.is_plain(_, state)
  return order_key(state.dims, state.order) == order_key(state.dims, identity(#state.dims))
end

-- --- constants ------------------------------------------------------------------------------------------------------

local function spread(t, shape)
  local one = assert(core.tensor(shape) + assert(t:astype "float32"))
  return assert(one:astype(t.dtype))
end

-- elements, exponent, ref.
local Constant = {}
Constant.__index = Constant

--- Brings the elements to another exponent: floored, saturated.
function Constant:rescale(e)
  local t, list = self.elements, self.elements:reshape({ -1 }):totable()
  local top = t.dtype == "int8" and 127 or 32767
  for i, v in ipairs(list) do
    list[i] = math.tointeger(math.max(-top - 1, math.min(top, (v * 2.0 ^ (self.exponent - e)) // 1)))
  end
  self.elements, self.exponent = core.tensor_from(list, t.dtype, t.shape), e
end

--- An integer constant of the quantized graph as an object of this order and shape, spread over dims.
function Plan:constant(node, index, dims, order, shape)
  local input = self:q_node(node):input(index)
  local ref = { shape = shape }
  local ok, t = errors.pcall(spread, input.constant, { 1, table.unpack(dims) })
  if not ok or t.count ~= Plan.count(dims) then
    self:problem(node, "its constant '%s' is larger than its other operand", input.name)
    return ref
  end
  local elements = t:transpose({ 0, table.unpack(order) }):copy()
  ref.constant = setmetatable({ elements = elements, exponent = input.quant.exponents[1], ref = ref }, Constant)
  self.constants[#self.constants + 1] = ref.constant
  return ref
end

--- The same numbers at another exponent: an average over windows of one element.
function Plan:rescale(node, ref, from, to)
  local text = "%s: an operand goes from exponent %d to %d by an AvgPool2D of 1 x 1"
  self.warnings[#self.warnings + 1] = text:format(node:label(), from, to)
  local shape = #ref.shape == 3 and ref.shape or { 1, 1, Plan.count(ref.shape) }
  local pooled = self:add({
    class = "AvgPool2D", header = "avg_pool2d", inputs = { self:reshape(ref, shape) },
    arguments = function() return ("%d, {1, 1}, dl::PADDING_VALID, {}, 1, 1"):format(to) end,
  }, shape)
  return self:reshape(pooled, ref.shape)
end

--- Gives a node another constant in place of an input: of its own, where others read the old one. `aliases` tells the
--- name under which the table knows it.
function Plan:replace_constant(node, index, tensor)
  local value = node:input(index)
  if value:use_count() == 1 then return value:set_constant(tensor) end
  local new = self.model:add_constant(nil, tensor)
  self.aliases[new.name] = self.aliases[value.name] or value.name
  node:set_input(index, new)
end

-- How many elements these axes have.
function Plan.count(dims)
  local n = 1
  for _, d in ipairs(dims) do n = n * d end
  return n
end

-- --- the whole model ------------------------------------------------------------------------------------------------

--- The activation that a layer takes over: the only reader of its output.
function Plan:take_activation(node)
  local value = node:output(1)
  local users = value:users()
  if #users ~= 1 or value.is_output or not rules.ACTIVATIONS[users[1].op_type] then return nil end
  if not rules.channel_slopes(self, users[1], self:dims(value)) then return nil end
  self.fused[users[1]] = true
  return users[1]
end

-- The image's order, unless its readers count on ONNX's.
local function input_order(value, dims)
  for _, node in ipairs(value:users()) do
    if rules.MOVES[node.op_type] then return identity(#dims), dims end
  end
  local order, shape = Plan.image(dims)
  return order or identity(#dims), shape or dims
end

function Plan:node(node)
  if self.fused[node] then return end
  for i, value in ipairs(node.outputs) do
    if value and not self:dims(value) then
      return self:problem(node, "its output %d is no single image (1, ...), and the runtime has no batch axis", i)
    end
  end
  for _, value in ipairs(node.inputs) do
    if value and not value.constant and not self.states[value.name] then return end -- its maker has a problem
  end
  local rule = rules[node.op_type]
  if not rule then return self:problem(node, "ESP-DL v1 has no layer for %s", node.op_type) end
  rule(self, node)
end

-- Where an output is, a row of numbers in ONNX's own order; nothing after adding a problem.
function Plan:output_state(value)
  local state, dims = self.states[value.name], self:dims(value)
  if not state or state.ref.is_input then
    self.problems[#self.problems + 1] = ("output '%s': no layer computes it"):format(value.name)
    return nil
  end
  if #dims < 2 then state = { ref = self:plain(value, dims), dims = dims, order = identity(#dims) } end
  state.ref.is_output = true
  return state
end

--- Fills layers, constants, outputs (states) and input (a state); all problems are found.
function Plan:build()
  local inputs = self.model.inputs
  if #inputs ~= 1 then
    self.problems[1] = ("the model has %d inputs; ESP-DL v1's Model takes one"):format(#inputs)
    return
  end
  local dims = self:dims(inputs[1])
  if not dims or #dims == 0 then
    self.problems[1] = ("input '%s': expected images of known size, (1, ...)"):format(inputs[1].name)
    return
  end
  local order, shape = input_order(inputs[1], dims)
  self:put(inputs[1], { shape = shape, is_input = true }, dims, order)
  self.input = self.states[inputs[1].name]
  for node in self.model:nodes() do self:node(node) end
  if #self.problems > 0 then return end
  for i, value in ipairs(self.model.outputs) do self.outputs[i] = self:output_state(value) end
end

return M
