--- The chip's integers once more, one element at a time in Lua's 64-bit integers: what docs/original.md and the headers
--- of csrc/sim say, read literally, with nothing of ours below it.
---
---     local values = naive.run(model, exponents, { x = integers }, 8)    -- values.y.list, values.y.shape
---
--- The model is one of spec/support/net.lua with fixed shapes; `exponents` are those of every tensor, constant and
--- LeakyRelu (by its node's name) that has one. Windows have two axes.
local M = {}

local HUGE = 1 << 62

-- floor(v * 2^s), or beyond +-2^62 one of these.
local function scaled(v, s)
  if s <= 0 then return v // (1 << math.min(-s, 62)) end
  if v == 0 then return 0 end
  if s >= 62 or math.abs(v) > HUGE >> s then return v > 0 and HUGE or -HUGE end
  return v << s
end

local function clipped(v, bits)
  return math.max(-(1 << bits - 1), math.min((1 << bits - 1) - 1, v))
end

-- Half to even.
local function rounded(x)
  local low = math.floor(x)
  local rest = x - low
  if rest > 0.5 or rest == 0.5 and low % 2 ~= 0 then low = low + 1 end
  return low
end

--- A list of floats as integers of exponent e.
function M.quantized(list, e, bits)
  local out = {}
  for i, x in ipairs(list) do out[i] = clipped(rounded(x * 2.0 ^ -e), bits) end
  return out
end

local function count_of(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end

-- Calls f(index) with the 0-based coordinates of every element, in order, which f must not keep.
local function each_index(shape, f)
  local index = {}
  for k = 1, #shape do index[k] = 0 end
  for _ = 1, count_of(shape) do
    f(index)
    local k = #shape
    while k > 0 do
      index[k] = index[k] + 1
      if index[k] < shape[k] then break end
      index[k], k = 0, k - 1
    end
  end
end

-- The element of v at the coordinates, aligned at the last axis, along axes of size 1 broadcast.
local function at(v, index)
  local place, skipped = 0, #index - #v.shape
  for k, d in ipairs(v.shape) do place = place * d + (d == 1 and 0 or index[skipped + k]) end
  return v.list[place + 1]
end

-- The result whose elements are f(coordinates), clipped.
local function computed(out, f)
  local list = {}
  each_index(out.shape, function(index) list[#list + 1] = clipped(f(index), out.bits) end)
  return list
end

local function elementwise(f)
  return function(_, inputs, out)
    local a, b = inputs[1], inputs[2]
    return computed(out, function(index) return f(out, a, at(a, index), b, at(b, index)) end)
  end
end

local function choice(choose)
  return function(_, inputs, out)
    return computed(out, function(index)
      local best
      for _, v in ipairs(inputs) do
        local x = clipped(scaled(at(v, index), v.e - out.e), out.bits)
        best = best and choose(best, x) or x
      end
      return best
    end)
  end
end

-- Exactly aligned to the finer exponent, then one floor.
local function difference(out, va, a, vb, b)
  local finer = math.min(va.e, vb.e)
  return scaled(scaled(a, va.e - finer) - scaled(b, vb.e - finer), finer - out.e)
end

-- Floored to the coarser one, then floored again: as the original.
local function sum(out, va, a, vb, b)
  local e = math.max(va.e, vb.e)
  return scaled(scaled(a, va.e - e) + scaled(b, vb.e - e), e - out.e)
end

local function product(out, va, a, vb, b) return scaled(a * b, va.e + vb.e - out.e) end

local function sloped(slope_of)
  return function(node, inputs, out)
    return computed(out, function(index)
      local x = at(inputs[1], index)
      if x >= 0 then return x end
      local slope = slope_of(node, inputs, out)
      return scaled(x * at(slope, index), slope.e)
    end)
  end
end

local function window_of(node, x)
  if node.op_type:match "^Global" then
    return { kernel = { x.shape[3], x.shape[4] }, strides = { 1, 1 }, pads = { 0, 0, 0, 0 } }
  end
  return {
    kernel = node:attr "kernel_shape", strides = node:attr("strides", { 1, 1 }),
    pads = node:attr("pads", { 0, 0, 0, 0 }), include_pad = node:attr("count_include_pad", 0) ~= 0,
  }
end

-- The elements under the window of an output's element, and how many it counts: with pads those inside of the padded
-- image, never what ceil_mode lets stick out.
local function under(w, x, index)
  local found, count = {}, 0
  local height, width = x.shape[3], x.shape[4]
  for i = 0, w.kernel[1] - 1 do
    for j = 0, w.kernel[2] - 1 do
      local row, column = index[3] * w.strides[1] + i - w.pads[1], index[4] * w.strides[2] + j - w.pads[2]
      local is_inside = row >= 0 and row < height and column >= 0 and column < width
      local is_padded = row < height + w.pads[3] and column < width + w.pads[4]
      if is_inside then found[#found + 1] = at(x, { index[1], index[2], row, column }) end
      if is_inside or w.include_pad and is_padded then count = count + 1 end
    end
  end
  return found, count
end

-- One floor: of sum * 2^s / count.
local function average(node, inputs, out)
  local x = inputs[1]
  local w, s = window_of(node, x), x.e - out.e
  return computed(out, function(index)
    local found, count = under(w, x, index)
    local total = 0
    for _, v in ipairs(found) do total = total + v end
    if count == 0 then return 0 end
    if s < 0 then return total // (count << math.min(-s, 40)) end
    return scaled(total, math.min(s, 40)) // count
  end)
end

local function maximum(node, inputs, out)
  local w = window_of(node, inputs[1])
  return computed(out, function(index)
    return math.max(table.unpack((under(w, inputs[1], index))))
  end)
end

local function same(_, inputs) return inputs[1].list end

-- Constant mode; the value has the output's exponent.
local function padded(node, inputs, out)
  local x, pads = inputs[1], node:input(2).constant:totable()
  local value = inputs[3] and inputs[3].list[1] or 0
  return computed(out, function(index)
    local from = {}
    for k, i in ipairs(index) do
      from[k] = i - pads[k]
      if from[k] < 0 or from[k] >= x.shape[k] then return value end
    end
    return at(x, from)
  end)
end

local function concatenated(node, inputs, out)
  local axis = node:attr "axis" + 1
  return computed(out, function(index)
    local from = { table.unpack(index) }
    for _, v in ipairs(inputs) do
      if from[axis] < v.shape[axis] then return at(v, from) end
      from[axis] = from[axis] - v.shape[axis]
    end
  end)
end

local RULES = {
  Add = elementwise(sum), Sub = elementwise(difference), Mul = elementwise(product),
  Max = choice(math.max), Min = choice(math.min),
  AveragePool = average, GlobalAveragePool = average, MaxPool = maximum, GlobalMaxPool = maximum,
  Relu = function(_, inputs, out)
    return computed(out, function(index) return math.max(0, at(inputs[1], index)) end)
  end,
  PRelu = sloped(function(_, inputs) return inputs[2] end),
  LeakyRelu = sloped(function(node, _, out)
    local e = out.exponents[node.name]
    return { shape = { 1 }, list = M.quantized({ node:attr("alpha", 0.01) }, e, out.bits), e = e }
  end),
  Identity = same, Dropout = same, Unsqueeze = same, Flatten = same, Reshape = same,
  Expand = function(_, inputs, out)
    return computed(out, function(index) return at(inputs[1], index) end)
  end,
  Pad = padded, Concat = concatenated,
}

--- The integers of every tensor: name -> {shape=, list=, e=}. `given` are those of the inputs, as lists. A constant
--- without an exponent has that of its reader's output.
function M.run(model, exponents, given, bits)
  local values = {}
  for _, input in ipairs(model.inputs) do
    values[input.name] = { shape = input.shape, list = given[input.name], e = exponents[input.name] }
  end
  for node in model:nodes() do
    local name, inputs = node:output(1).name, {}
    for i, input in ipairs(node.inputs) do
      inputs[i] = input and values[input.name] or nil
      if input and input.constant and input.dtype == "float32" then
        local e = exponents[input.name] or exponents[name]
        local list = M.quantized(input.constant:reshape({ -1 }):totable(), e, bits)
        inputs[i] = { shape = input.constant.shape, list = list, e = e }
      end
    end
    local out = { shape = node:output(1).shape, e = exponents[name], bits = bits, exponents = exponents }
    out.list = RULES[node.op_type](node, inputs, out)
    values[name] = out
  end
  return values
end

return M
