--- The integer graph as ESP-DL v3's runtime runs it: images with their channels last, Transposes where operators
--- disagree.
---
---     local device = layout(graph)
---
--- The result has lists of plain tables: `nodes` { node = (of the graph, nil for what is added), op_type, name, inputs,
--- outputs, attrs }, `values` (what is computed or fed) and `inputs`, `outputs`. A value is { name, dtype, shape,
--- quant, perm }: position k of its shape is axis perm[k] of the ONNX tensor (from 1). Constants among the inputs are {
--- constant = tensor, quant = }; a node's missing inputs are false.
---
--- An ONNX Transpose is free: its result is the same tensor, seen in another order, until somebody wants it in order.

local core = require "espquant.core"

local Layout = {}
Layout.__index = Layout

local IMAGES = { [3] = { 1, 3, 2 }, [4] = { 1, 3, 4, 2 } }

-- --- orders of axes ------------------------------------------------------------------------------------------------

local function identity(rank)
  local perm = {}
  for k = 1, rank do perm[k] = k end
  return perm
end

local function same(a, b)
  if #a ~= #b then return false end
  for k, axis in ipairs(a) do
    if b[k] ~= axis then return false end
  end
  return true
end

local function is_identity(perm) return same(perm, identity(#perm)) end

local function position(perm, axis)
  for k, each in ipairs(perm) do
    if each == axis then return k end
  end
end

local function permuted(list, perm)
  local out = {}
  for k, axis in ipairs(perm) do out[k] = list[axis] end
  return out
end

local function from_0(perm)
  local out = {}
  for k, axis in ipairs(perm) do out[k] = axis - 1 end
  return out
end

-- --- values --------------------------------------------------------------------------------------------------------

local function free_name(self, base)
  local name, number = base, 1
  while self.taken[name] do
    number = number + 1
    name = ("%s_%d"):format(base, number)
  end
  self.taken[name] = true
  return name
end

local function add_value(self, fields)
  self.values[#self.values + 1] = fields
  return fields
end

-- What the graph's value is on the device, made in this order.
local function define(self, value, perm)
  local made = add_value(self, { name = value.name, dtype = value.dtype, quant = value.quant, perm = perm,
    shape = permuted(value.shape, perm) })
  self.made[value.name] = { made }
  if value.is_input then self.inputs[value.name] = made end
  return made
end

local function add_node(self, fields)
  fields.name = fields.name or free_name(self, fields.outputs[1].name)
  self.nodes[#self.nodes + 1] = fields
  return fields
end

-- The value in the given order: as it is, as it was wanted before, or behind a Transpose.
local function ordered(self, value, perm)
  local list = self.made[value.name] or { define(self, value, perm) } -- an input has the order of its first reader
  for _, each in ipairs(list) do
    if same(each.perm, perm) then return each end
  end
  local from, moves = list[1], {}
  for k, axis in ipairs(perm) do moves[k] = position(from.perm, axis) - 1 end
  local made = add_value(self, { name = free_name(self, value.name .. "_transposed"), dtype = from.dtype,
    quant = from.quant, perm = perm, shape = permuted(value.shape, perm) })
  add_node(self, { op_type = "Transpose", inputs = { from }, outputs = { made }, attrs = { perm = moves } })
  list[#list + 1] = made
  return made
end

-- The order in which it exists already; `otherwise` for an input that nobody has read.
local function order_of(self, value, otherwise)
  local list = self.made[value.name]
  return list and list[1].perm or otherwise or identity(#value.shape)
end

local function constant(value, tensor)
  return { name = value.name, constant = tensor or value.constant, quant = value.quant }
end

-- --- nodes ---------------------------------------------------------------------------------------------------------

-- The node on the device: `orders[i]` of the computed inputs, one order for all outputs.
local function emit(self, node, orders, out_order, changes)
  local inputs, outputs, attrs = {}, {}, node:attrs()
  for i = 1, #node.inputs do
    local value = node:input(i)
    inputs[i] = value and (value.constant and constant(value) or ordered(self, value, orders[i])) or false
  end
  for i, change in pairs(changes and changes.inputs or {}) do inputs[i] = change end
  for i, value in ipairs(node.outputs) do
    if value then outputs[i] = define(self, value, out_order or identity(#value.shape)) else outputs[i] = false end
  end
  for name, value in pairs(changes and changes.attrs or {}) do attrs[name] = value end
  return add_node(self, { node = node, op_type = node.op_type, domain = node.domain, name = node.name,
    inputs = inputs, outputs = outputs, attrs = attrs })
end

local function original_orders(node)
  local orders = {}
  for i = 1, #node.inputs do
    local value = node:input(i)
    orders[i] = value and value.shape and identity(#value.shape)
  end
  return orders
end

-- An axis of the ONNX tensor (from 0, or negative) where it lies now (from 0).
local function moved_axis(axis, perm)
  if is_identity(perm) then return axis end
  return position(perm, (axis < 0 and axis + #perm or axis) + 1) - 1
end

-- The constant input i with axes, renumbered.
local function moved_axes(node, i, perm, sorted)
  local value = node:input(i)
  if not value or is_identity(perm) then return nil end
  local list = {}
  for k, axis in ipairs(value.constant:reshape { -1 }:totable()) do list[k] = moved_axis(axis, perm) end
  if sorted then table.sort(list) end
  return constant(value, core.tensor_from(list, "int64"))
end

-- The order of what is left of a tensor without these axes (from 0, as they lie now).
local function without(perm, gone)
  local left, rank = {}, {}
  for k, axis in ipairs(perm) do
    if not gone[k - 1] then left[#left + 1] = axis end
  end
  local sorted = { table.unpack(left) }
  table.sort(sorted)
  for k, axis in ipairs(sorted) do rank[axis] = k end
  for k, axis in ipairs(left) do left[k] = rank[axis] end
  return left
end

local LAYOUTS = {}

function LAYOUTS.original(self, node)
  if node.op_type == "Transpose" and node.domain == "" then return self:transpose(node) end
  emit(self, node, original_orders(node))
end

function LAYOUTS.nhwc(self, node)
  local orders = original_orders(node)
  local order = IMAGES[#node:input(1).shape]
  orders[1] = order
  emit(self, node, orders, order)
end

-- A PRelu's kernel finds the channel of each slope where images have it.
function LAYOUTS.unary(self, node)
  local orders, slope = original_orders(node), node.op_type == "PRelu" and node:input(2).constant
  if slope and slope.count > 1 and IMAGES[#node:input(1).shape] then return LAYOUTS.nhwc(self, node) end
  orders[1] = order_of(self, node:input(1))
  emit(self, node, orders, orders[1])
end

-- A constant beside a tensor in another order takes that order, with leading axes of length 1 where it has fewer.
local function beside(value, perm)
  local tensor = value.constant
  if tensor.count == 1 or is_identity(perm) then return constant(value) end
  local shape = tensor.shape
  while #shape < #perm do table.insert(shape, 1, 1) end
  return constant(value, tensor:reshape(shape):transpose(from_0(perm)))
end

-- The order that tensors of one rank agree on: that of most of them, images' and other orders before ONNX's.
local function agreed(self, values)
  local rank, counts, best = #values[1].shape, {}, nil
  for _, value in ipairs(values) do
    if #value.shape ~= rank then return nil end
    local perm = order_of(self, value)
    local key = table.concat(perm, ",")
    local entry = counts[key] or { perm = perm, count = 0, rank = IMAGES[rank] and same(perm, IMAGES[rank]) and 2
      or is_identity(perm) and 0 or 1 }
    counts[key] = entry
    entry.count = entry.count + 1
  end
  for _, entry in pairs(counts) do
    if not best or entry.count > best.count or entry.count == best.count
      and entry.rank > best.rank then best = entry end
  end
  return best.perm
end

function LAYOUTS.binary(self, node)
  local computed, inputs = {}, {}
  for _, value in ipairs(node.inputs) do
    if not value.constant then computed[#computed + 1] = value end
  end
  local perm = #computed > 0 and agreed(self, computed)
  local out = node:output(1)
  if not perm or #perm ~= #out.shape then return emit(self, node, original_orders(node)) end
  for i, value in ipairs(node.inputs) do
    if value.constant then inputs[i] = beside(value, perm) end
  end
  emit(self, node, { perm, perm }, perm, { inputs = inputs })
end

function LAYOUTS.concat(self, node)
  local computed, inputs = {}, {}
  for _, value in ipairs(node.inputs) do
    if not value.constant then computed[#computed + 1] = value end
  end
  local perm = #computed > 0 and order_of(self, computed[1])
  for _, value in ipairs(computed) do
    if not same(order_of(self, value, perm), perm) then perm = nil break end
  end
  if not perm then return emit(self, node, original_orders(node)) end
  local orders = {}
  for i, value in ipairs(node.inputs) do
    orders[i] = perm
    if value.constant and not is_identity(perm) then
      inputs[i] = constant(value, value.constant:transpose(from_0(perm)))
    end
  end
  emit(self, node, orders, perm, { inputs = inputs, attrs = { axis = moved_axis(node:attr "axis", perm) } })
end

function LAYOUTS.slice(self, node)
  local perm, orders = order_of(self, node:input(1)), original_orders(node)
  for i = 2, #node.inputs do
    local value = node:input(i)
    if value and not value.constant then return emit(self, node, orders) end
  end
  orders[1] = perm
  local inputs = {}
  if not is_identity(perm) then
    if node:input(4) then inputs[4] = moved_axes(node, 4, perm)
    else
      local axes = {}
      for k = 1, node:input(2).constant.count do axes[k] = moved_axis(k - 1, perm) end
      inputs[4] = { name = free_name(self, node.name .. "_axes"), constant = core.tensor_from(axes, "int64") }
    end
  end
  emit(self, node, orders, perm, { inputs = inputs })
end

-- Softmax, LpNormalization and Split have the attribute `axis`; reductions their axes as input 2, and may drop them.
function LAYOUTS.axis(self, node)
  local perm, orders, changes = order_of(self, node:input(1)), original_orders(node), { inputs = {}, attrs = {} }
  orders[1] = perm
  local out_order = perm
  if node:has_attr "axis" then
    changes.attrs.axis = moved_axis(node:attr "axis", perm)
  elseif node.op_type:match "^Reduce" then
    local axes = node:input(2)
    if axes and not axes.constant then return emit(self, node, original_orders(node)) end
    changes.inputs[2] = moved_axes(node, 2, perm, true)
    if node:attr("keepdims", 1) == 0 then
      local gone = {}
      for _, axis in ipairs(axes and axes.constant:reshape { -1 }:totable() or {}) do
        gone[moved_axis(axis < 0 and axis + #perm or axis, perm)] = true
      end
      if not axes and node:attr("noop_with_empty_axes", 0) == 0 then
        for k = 0, #perm - 1 do gone[k] = true end
      end
      out_order = without(perm, gone)
    end
  end
  emit(self, node, orders, out_order, changes)
end

-- Seen in another order, the input is the output; what the graph returns is made.
function Layout:transpose(node)
  local x, y = node:input(1), node:output(1)
  local moves, order = node:attr "perm", order_of(self, x)
  if y.is_output or x.is_input and not self.made[x.name] then return emit(self, node, original_orders(node)) end
  local list = {}
  for _, each in ipairs(self.made[x.name]) do
    local seen = {}
    for k, axis in ipairs(each.perm) do seen[k] = position(moves, axis - 1) end
    list[#list + 1] = { name = each.name, dtype = each.dtype, quant = each.quant, shape = each.shape, perm = seen }
  end
  assert(#order == #moves)
  self.made[y.name] = list
end

--- The graph on the device. Shapes must be known.
return function(graph)
  local self = setmetatable({ nodes = {}, values = {}, inputs = {}, made = {}, taken = {} }, Layout)
  for _, value in ipairs(graph:values()) do self.taken[value.name] = true end
  for node in graph:nodes() do self.taken[node.name] = true end
  for node in graph:nodes() do
    local op = core.op(node.op_type, node.domain)
    LAYOUTS[op and op.v3_layout or "original"](self, node)
  end
  local inputs, outputs = {}, {}
  for i, value in ipairs(graph.inputs) do
    inputs[i] = self.inputs[value.name] or define(self, value, identity(#value.shape))
  end
  for i, value in ipairs(graph.outputs) do outputs[i] = self.made[value.name][1] end
  return { nodes = self.nodes, values = self.values, inputs = inputs, outputs = outputs, taken = self.taken }
end
