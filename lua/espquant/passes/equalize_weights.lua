--- Before: Conv(w1, b1), Relu, Conv(w2)
--- After:  Conv(w1 / s, b1 / s), Relu, Conv(w2 * s), s a power of two for each channel between them, so that the
---         largest weights of a channel on both sides are alike and one scale suits all channels
--- Between them may stand what commutes with a positive factor per channel: Relu, LeakyRelu, PRelu, Abs, Clip, Max and
--- Min with bounds that are 0 or infinite, pools, Flatten, and Add and Sub of tensors that are scaled alike. A Clip
--- with another bound (Relu6) would compute something else, and keeps its channels. The results keep every bit, unless
--- a number leaves what float32 holds. What weights gain activations can lose, so it runs only when it is named.
local pass = require "espquant.pass"
local core = require "espquant.core"
local numbers = require "espquant.numbers"
local weight_channels = require "espquant.weight_channels"

local MOST = 24 -- a channel is scaled by 2^-MOST to 2^MOST at a time
local MOST_SWEEPS = 100 -- over all groups

-- --- which tensors are scaled alike -------------------------------------------------------------------------------

local SAME = { LeakyRelu = true, Abs = true, Identity = true, Dropout = true, MaxPool = true, AveragePool = true,
  GlobalAveragePool = true, GlobalMaxPool = true }
local SUMS = { Add = true, Sub = true }

local function channels_of(value)
  local shape = value.shape
  return shape and #shape >= 2 and math.type(shape[2]) == "integer" and shape[2] > 0 and shape[2] or nil
end

local function computed(value) return value and not value.constant and value.dtype == "float32" end

-- Whether the node's result is its first input scaled alike where that is.
local function is_homogeneous(node)
  if SAME[node.op_type] then return node:input(1) end
  if node.op_type == "PRelu" then return node:input(2).constant and node:input(1) end
  local x, low, high = numbers.limits(node)
  local function fits(bound) return bound == 0 or math.abs(bound) == math.huge end
  return x and fits(low) and fits(high) and x or nil
end

-- How many columns of a matrix a channel of x becomes, by Flatten or Reshape; nil where rows are mixed.
local function columns_of(node)
  local x, result = node:input(1).shape, node:output(1).shape
  local folds = node.op_type == "Flatten" or node.op_type == "Reshape"
  if not folds or not x or not result or #result ~= 2 then return nil end
  local count = 1
  for i = 2, #x do
    if math.type(x[i]) ~= "integer" or x[i] < 1 then return nil end
    count = count * x[i]
  end
  return #x > 2 and result[1] == x[1] and result[2] == count and count // x[2] or nil
end

local function same_shape(a, b)
  if not a.shape or not b.shape or #a.shape ~= #b.shape then return false end
  for i, d in ipairs(a.shape) do
    if i > 1 and d ~= b.shape[i] then return false end
  end
  return true
end

-- A group: tensors that are scaled alike, the nodes with weights that make them and those that read them. It is closed
-- where anything else has to do with one of them.
local function new_group(value)
  return { columns = { [value] = 1 }, work = { value }, makers = {}, readers = {}, count = channels_of(value) }
end

-- Takes a tensor in, where a channel is so many columns; false where that does not fit.
local function join(group, value, columns)
  local known = group.columns[value]
  if known then return known == columns end
  if not computed(value) or channels_of(value) ~= group.count * columns then return false end
  group.columns[value], group.work[#group.work + 1] = columns, value
  return true
end

-- What the node does to the group's tensor `value`, one of its inputs or its output; false closes the group.
local function visit(group, node, value)
  local out, columns = node:output(1), group.columns[value]
  if node.domain ~= "" or (value ~= out and value.producer == node) then return false end
  for i = 2, #node.outputs do
    if node:output(i) and (node:output(i):use_count() > 0 or node:output(i).is_output) then return false end
  end
  if SUMS[node.op_type] then
    local a, b = node:input(1), node:input(2)
    return same_shape(a, b) and same_shape(a, out) and join(group, a, columns) and join(group, b, columns)
      and join(group, out, columns)
  end
  local x = is_homogeneous(node)
  if x then
    return (value == x or value == out) and join(group, x, columns) and join(group, out, columns)
  end
  local per = columns_of(node)
  if per then return join(group, node:input(1), 1) and join(group, out, per) end
  return nil
end

-- Whether a Conv or product may be the group's: its weight and bias are constants that nobody else reads.
local function is_free(node)
  local bias = node:input(3)
  return node:input(2):use_count() == 1 and (not bias or (bias.constant and bias.dtype == "float32"))
end

local function bias_fits(node, count)
  local bias = node:input(3)
  return not bias or bias.constant.count == count
end

-- The node makes `value`, with weights.
local function add_maker(group, node, value)
  local channels = weight_channels.outputs(node)
  if not channels or not is_free(node) or channels.count ~= group.count or group.columns[value] ~= 1
    or not bias_fits(node, channels.count) then return false end
  group.makers[#group.makers + 1] = node
  return true
end

local function add_reader(group, node, value)
  local columns = group.columns[value]
  if node:input(1) ~= value or node:input(2) == value or node:input(3) == value then return false end
  local channels = weight_channels.inputs(node, columns)
  if not channels or not is_free(node) or channels.count ~= group.count then return false end
  group.readers[#group.readers + 1] = node
  return true
end

-- Follows the group to its ends; false where it is closed.
local function explore(group)
  while #group.work > 0 do
    local value = table.remove(group.work)
    if value.is_output or value.is_input or not value.producer then return false end
    local made = visit(group, value.producer, value)
    if made == nil then made = add_maker(group, value.producer, value) end
    if not made then return false end
    for _, user in ipairs(value:users()) do
      local fits = visit(group, user, value)
      if fits == nil then fits = add_reader(group, user, value) end
      if not fits then return false end
    end
  end
  return #group.makers > 0 and #group.readers > 0
end

-- All groups of the graph.
local function groups_of(graph)
  local list, taken = {}, {}
  for node in graph:nodes() do
    local value = node.alive and weight_channels.outputs(node) and node:output(1)
    if value and not taken[value] and computed(value) and channels_of(value) then
      local group = new_group(value)
      if explore(group) then list[#list + 1] = group end
      for tensor in pairs(group.columns) do taken[tensor] = true end
    end
  end
  return list
end

-- --- how much -----------------------------------------------------------------------------------------------------

local function widen(reach, other)
  for i, r in ipairs(other) do reach[i] = math.max(reach[i] or 0, r) end
end

-- For each channel the largest number among the weights that make it, biases included: a channel of tiny weights and
-- a large bias would become a large activation.
local function reach_of_makers(group)
  local reach = {}
  for _, node in ipairs(group.makers) do
    widen(reach, weight_channels.outputs(node):reach())
    local bias = node:input(3)
    if bias then widen(reach, bias.constant:abs():reshape({ -1 }):totable()) end
  end
  return reach
end

local function columns_read(group, node) return group.columns[node:input(1)] end

local function reach_of_readers(group)
  local reach = {}
  for _, node in ipairs(group.readers) do
    widen(reach, weight_channels.inputs(node, columns_read(group, node)):reach())
  end
  return reach
end

-- The exponent n of the factor 2^n that makers are divided by and readers multiplied with. 0 where both sides differ by
-- less than 2^1.5: then the larger side of every step becomes smaller by a half at least, so that steps come to an end.
local function exponent(made, read)
  if made <= 0 or read <= 0 or made == math.huge or read == math.huge or made ~= made or read ~= read then return 0 end
  local distance = math.log(made / read, 2)
  if math.abs(distance) < 1.5 then return 0 end
  local n = math.floor(distance / 2 + 0.5)
  return math.max(-MOST, math.min(MOST, n))
end

local function powers(exponents, sign)
  local list = {}
  for i, n in ipairs(exponents) do list[i] = 2.0 ^ (sign * n) end
  return list
end

-- What takes the place of a node's weight (a layer between two tensors of the group is scaled on both sides) and bias,
-- added to `news`; false where float32 does not hold one of them exactly.
local function plan(news, node, channels, exponents, sign)
  local factors, inverse = powers(exponents, sign), powers(exponents, -sign)
  local new = news[node] or { node = node, weight = channels.tensor }
  if not news[node] then news[node], news[#news + 1] = new, new end
  local old = new.weight
  new.weight = channels:scaled(factors, old)
  if not new.weight:isfinite() or not channels:scaled(inverse, new.weight):equal(old) then return false end
  local bias = sign < 0 and node:input(3)
  if not bias then return true end
  old = bias.constant
  new.bias = old * core.tensor_from(factors, "float32", old.shape)
  return new.bias:isfinite() and (new.bias * core.tensor_from(inverse, "float32", old.shape)):equal(old)
end

-- Whether the group's channels were scaled.
local function equalize(graph, group)
  local made, read, exponents, any = reach_of_makers(group), reach_of_readers(group), {}, false
  for i = 1, group.count do
    exponents[i] = exponent(made[i], read[i])
    any = any or exponents[i] ~= 0
  end
  if not any then return false end
  local news = {}
  for _, node in ipairs(group.makers) do
    if not plan(news, node, weight_channels.outputs(node), exponents, -1) then return false end
  end
  for _, node in ipairs(group.readers) do
    if not plan(news, node, weight_channels.inputs(node, columns_read(group, node)), exponents, 1) then return false end
  end
  for _, new in ipairs(news) do
    pass.set_constant(graph, new.node, 2, new.weight, "weight")
    if new.bias then pass.set_constant(graph, new.node, 3, new.bias, "bias") end
  end
  return true
end

-- Groups that share a layer disturb each other: over and over, until all are settled. A step makes the largest weights
-- of its channels smaller and no other as large, so this ends. Returns how many groups were scaled.
local function run(graph)
  local groups, scaled, count, open = groups_of(graph), {}, 0, true
  for _ = 1, MOST_SWEEPS do
    if not open then break end
    open = false
    for _, group in ipairs(groups) do
      if equalize(graph, group) then
        open = true
        if not scaled[group] then scaled[group], count = true, count + 1 end
      end
    end
  end
  return count
end

return pass { name = "equalize_weights", run = run }
