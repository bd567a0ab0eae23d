--- The integers of ESP-DL v3 once more, one element at a time in Lua: what docs/v3.md says, read literally, with
--- nothing of ours below it.
---
---     local outputs, tolerance = naive.node(node, inputs, "half-up")
---
--- `inputs` (and the result) are tensors { shape =, list =, e =, bits =, float = }, integers at 2^e or floats; absent
--- ones are false. `tolerance` is how many steps the kernel may be off: 0, or 1 where it computes in float32 by an
--- order of its own. Nil for an operator without a rule.
local M = {}

-- --- numbers -------------------------------------------------------------------------------------------------------

local function half_even(x)
  local below = math.floor(x)
  if x - below ~= 0.5 then return math.floor(x + 0.5) end
  return below % 2 == 0 and below or below + 1
end

M.ROUND = { ["half-up"] = function(x) return math.floor(x + 0.5) end, ["half-even"] = half_even }

local function f32(x) return (string.unpack("f", string.pack("f", x))) end

local function clip(v, bits)
  if v ~= v then return 0 end
  local most = 2 ^ (bits - 1)
  return math.tointeger(math.max(-most, math.min(most - 1, v)))
end

-- --- indexes -------------------------------------------------------------------------------------------------------

local function count_of(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end

local function coordinates(i, shape)
  local at = {}
  for k = #shape, 1, -1 do
    at[k] = i % shape[k]
    i = i // shape[k]
  end
  return at
end

local function index(at, shape)
  local i = 0
  for k = 1, #shape do i = i * shape[k] + at[k] end
  return i + 1
end

-- The element at the coordinates of a larger shape: aligned at the last axis, axes of length 1 repeat.
local function broadcast(t, at)
  local own, drop = {}, #at - #t.shape
  for k, d in ipairs(t.shape) do own[k] = d == 1 and 0 or at[k + drop] end
  return t.list[index(own, t.shape)]
end

local function each(shape, f)
  local list = {}
  for i = 0, count_of(shape) - 1 do list[i + 1] = f(coordinates(i, shape), i + 1) end
  return list
end

-- The real number of an element.
local function real(t, i) return t.float and t.list[i] or t.list[i] * 2.0 ^ t.e end

local function reals(t)
  local list = {}
  for i = 1, #t.list do list[i] = real(t, i) end
  return { shape = t.shape, list = list }
end

-- --- what a rule has -----------------------------------------------------------------------------------------------

local Rule = {}
Rule.__index = Rule

function Rule:attr(name, otherwise) return self.node:attr(name, otherwise) end

-- sum * 2^e as an integer of the output.
function Rule:put(sum, e) return clip(self.round(sum * 2.0 ^ (e - self.out.e)), self.out.bits) end
function Rule:put_real(x) return clip(self.round(f32(x) * 2.0 ^ -self.out.e), self.out.bits) end

local RULES = {}

-- --- sums of products ----------------------------------------------------------------------------------------------

local function exponent_of(t, channel) return type(t.e) == "table" and (t.e[channel + 1] or t.e[1]) or t.e end

local function finish(self, sum, x, w, bias, channel)
  local e = x.e + exponent_of(w, channel)
  local y = self:put(sum + (bias and bias.list[channel + 1] or 0), e)
  return self:attr("activation", "Linear") == "Relu" and math.max(y, 0) or y
end

function RULES.Conv(self, x, w, bias)
  local group, axes = self:attr("group", 1), #x.shape - 2
  local pads, strides = self:attr("pads", { 0, 0, 0, 0 }), self:attr("strides", { 1, 1 })
  local dilations = self:attr("dilations", { 1, 1 })
  local kernel, per = { table.unpack(w.shape, 3) }, w.shape[2]
  return each(self.out.shape, function(at)
    local sum, first = 0, at[2] // (w.shape[1] // group) * per
    for c = 0, per - 1 do
      for k = 0, count_of(kernel) - 1 do
        local tap, from, inside = coordinates(k, kernel), { at[1], first + c }, true
        for a = 1, axes do
          from[a + 2] = at[a + 2] * strides[a] - pads[a] + tap[a] * dilations[a]
          inside = inside and from[a + 2] >= 0 and from[a + 2] < x.shape[a + 2]
        end
        if inside then
          sum = sum + x.list[index(from, x.shape)] * w.list[index({ at[2], c, table.unpack(tap) }, w.shape)]
        end
      end
    end
    return finish(self, sum, x, w, bias, at[2])
  end)
end

function RULES.Gemm(self, x, w, bias)
  local turned = self:attr("transB", 0) == 1
  return each(self.out.shape, function(at)
    local sum = 0
    for k = 0, x.shape[2] - 1 do
      sum = sum + x.list[index({ at[1], k }, x.shape)] * w.list[index(turned and { at[2], k } or { k, at[2] }, w.shape)]
    end
    return finish(self, sum, x, w, bias, at[2])
  end)
end

function RULES.MatMul(self, a, b)
  local rank, inner = #self.out.shape, a.shape[#a.shape]
  return each(self.out.shape, function(at)
    local sum, left, right = 0, { table.unpack(at) }, { table.unpack(at) }
    for k = 0, inner - 1 do
      left[rank], right[rank - 1] = k, k
      sum = sum + broadcast(a, left) * broadcast(b, right)
    end
    return finish(self, sum, a, b, nil, at[rank])
  end)
end

-- --- element by element --------------------------------------------------------------------------------------------

local function pairwise(f)
  return function(self, ...)
    local operands = { ... }
    return each(self.out.shape, function(at)
      local v = broadcast(operands[1], at)
      for i = 2, #operands do v = f(self, v, broadcast(operands[i], at), operands[1], operands[i]) end
      return v
    end)
  end
end

RULES.Add = pairwise(function(self, a, b) return clip(a + b, self.out.bits) end)
RULES.Sub = pairwise(function(self, a, b) return clip(a - b, self.out.bits) end)
RULES.Sum = RULES.Add
RULES.Max = pairwise(function(_, a, b) return math.max(a, b) end)
RULES.Mul = pairwise(function(self, a, b, x, y) return self:put(a * b, x.e + y.e) end)
RULES.Div = pairwise(function(self, a, b, x, y)
  if b == 0 then return a == 0 and 0 or clip(a > 0 and math.huge or -math.huge, self.out.bits) end
  return self:put_real(f32(a * 2.0 ^ (x.e - y.e) / b))
end)
RULES.Pow = pairwise(function(self, a, b, x, y) return self:put_real((a * 2.0 ^ x.e) ^ (b * 2.0 ^ y.e)) end)
RULES.Mod = pairwise(function(self, a, b, x, y)
  if b == 0 then return 0 end
  return self:put_real(math.fmod(a * 2.0 ^ x.e, b * 2.0 ^ y.e))
end)

local function comparison(f)
  return pairwise(function(_, a, b) return f(a, b) and 1 or 0 end)
end

RULES.Equal = comparison(function(a, b) return a == b end)
RULES.Greater = comparison(function(a, b) return a > b end)
RULES.GreaterOrEqual = comparison(function(a, b) return a >= b end)
RULES.Less = comparison(function(a, b) return a < b end)
RULES.LessOrEqual = comparison(function(a, b) return a <= b end)

local function single(f)
  return function(self, x, ...)
    local more = { ... }
    return each(self.out.shape, function(at, i) return f(self, x.list[i], x, at, table.unpack(more, 1, 2)) end)
  end
end

RULES.Relu = single(function(self, q, x) return self:put(math.max(q, 0), x.e) end)
RULES.Neg = single(function(self, q) return clip(-q, self.out.bits) end)
RULES.Clip = single(function(self, q, x, _, low, high)
  if low then q = math.max(q, low.list[1]) end
  if high then q = math.min(q, high.list[1]) end
  return self:put(q, x.e)
end)
RULES.PRelu = single(function(self, q, x, at, slope)
  if q >= 0 then return self:put(q, x.e) end
  return self:put(q * broadcast(slope, at), x.e + slope.e)
end)
RULES.RequantizeLinear = single(function(self, q, x) return self:put(q, x.e) end)
RULES.QuantizeLinear = single(function(self, v) return self:put_real(v) end)
RULES.DequantizeLinear = single(function(_, q, x) return q * 2.0 ^ x.e end)
RULES.LUT = single(function(self, q, x, _, entries)
  if x.bits == 8 then return entries.list[q + 129] end
  return entries.list[self.round((q + 32768) / (65536 // (#entries.list - 1))) + 1]
end)

-- --- windows -------------------------------------------------------------------------------------------------------

-- Calls f(element or nil) for what a window covers.
local function window(self, x, at, f)
  local kernel, pads = self:attr "kernel_shape", self:attr("pads", { 0, 0, 0, 0 })
  local strides = self:attr("strides", { 1, 1 })
  if not kernel then kernel, pads = { table.unpack(x.shape, 3) }, { 0, 0, 0, 0 } end
  for k = 0, count_of(kernel) - 1 do
    local tap, from, inside = coordinates(k, kernel), { at[1], at[2] }, true
    for a = 1, #kernel do
      from[a + 2] = at[a + 2] * strides[a] - pads[a] + tap[a]
      inside = inside and from[a + 2] >= 0 and from[a + 2] < x.shape[a + 2]
    end
    f(inside and x.list[index(from, x.shape)] or nil)
  end
  return count_of(kernel)
end

function RULES.MaxPool(self, x)
  return each(self.out.shape, function(at)
    local most = -math.huge
    window(self, x, at, function(v) most = math.max(most, v or most) end)
    return most
  end)
end

function RULES.AveragePool(self, x)
  return each(self.out.shape, function(at)
    local sum = 0
    local area = window(self, x, at, function(v) sum = sum + (v or 0) end)
    return self:put_real(f32(f32(sum) * (f32(1 / area) * 2.0 ^ (x.e - self.out.e))) * 2.0 ^ self.out.e)
  end)
end

RULES.GlobalMaxPool, RULES.GlobalAveragePool = RULES.MaxPool, RULES.AveragePool

-- --- reductions ----------------------------------------------------------------------------------------------------

local function reduction(f)
  return function(self, x, axes)
    local along, rank = {}, #x.shape
    for _, axis in ipairs(axes and axes.list or {}) do along[axis % rank + 1] = true end
    for k = 1, rank do along[k] = along[k] or not axes end
    local groups, order = {}, {}
    for i = 0, #x.list - 1 do
      local at = coordinates(i, x.shape)
      for k = 1, rank do at[k] = along[k] and 0 or at[k] end
      local key = table.concat(at, ",")
      if not groups[key] then
        groups[key] = {}
        order[#order + 1] = key
      end
      table.insert(groups[key], x.list[i + 1])
    end
    local list = {}
    for i, key in ipairs(order) do list[i] = f(self, groups[key], x) end
    return list
  end
end

local function sum_of(list, f)
  local sum = 0
  for _, q in ipairs(list) do sum = sum + f(q) end
  return sum
end

local function same(q) return q end
local function square(q) return q * q end

RULES.ReduceSum = reduction(function(self, list, x) return self:put(sum_of(list, same), x.e) end)
RULES.ReduceMean = reduction(function(self, list, x)
  return self:put_real(f32(f32(sum_of(list, same)) * 2.0 ^ x.e / #list))
end)
RULES.ReduceMax = reduction(function(_, list) return math.max(table.unpack(list)) end)
RULES.ReduceMin = reduction(function(_, list) return math.min(table.unpack(list)) end)
RULES.ReduceL1 = reduction(function(self, list, x) return self:put(sum_of(list, math.abs), x.e) end)
RULES.ReduceL2 = reduction(function(self, list, x)
  return self:put_real(f32(f32(math.sqrt(f32(sum_of(list, square)))) * 2.0 ^ x.e))
end)
RULES.ReduceSumSquare = reduction(function(self, list, x) return self:put(sum_of(list, square), 2 * x.e) end)
RULES.ReduceLogSum = reduction(function(self, list, x)
  return self:put_real(math.log(sum_of(list, same) * 2.0 ^ x.e))
end)
RULES.ReduceLogSumExp = reduction(function(self, list, x)
  return self:put_real(math.log(sum_of(list, function(q) return math.exp(q * 2.0 ^ x.e) end)))
end)
RULES.ReduceProd = reduction(function(self, list, x)
  local product = 1
  for _, q in ipairs(list) do product = product * (q * 2.0 ^ x.e) end
  return self:put_real(product)
end)

-- --- along an axis -------------------------------------------------------------------------------------------------

-- f(list of real numbers along the axes from `first`) -> list, for each of the others.
local function along(x, axis, last, f)
  local rank, groups, order, values = #x.shape, {}, {}, reals(x).list
  local first = axis % rank + 1
  for i = 0, #values - 1 do
    local at = coordinates(i, x.shape)
    for k = first, last or first do at[k] = 0 end
    local key = table.concat(at, ",")
    if not groups[key] then
      groups[key] = {}
      order[#order + 1] = key
    end
    table.insert(groups[key], { i + 1, values[i + 1] })
  end
  local out = {}
  for _, key in ipairs(order) do
    local numbers = {}
    for n, each_one in ipairs(groups[key]) do numbers[n] = each_one[2] end
    for n, y in ipairs(f(numbers)) do out[groups[key][n][1]] = y end
  end
  return out
end

local function map(list, f)
  local out = {}
  for i, x in ipairs(list) do out[i] = f(x, i) end
  return out
end

function RULES.Softmax(self, x)
  return along(x, self:attr("axis", -1), nil, function(list)
    local most = math.max(table.unpack(list))
    local sum = sum_of(list, function(v) return math.exp(v - most) end)
    return map(list, function(v) return math.exp(v - most) / sum end)
  end)
end

function RULES.LogSoftmax(self, x)
  return map(RULES.Softmax(self, x), function(v) return math.log(v) end)
end

function RULES.LpNormalization(self, x)
  local p = self:attr("p", 2)
  return along(x, self:attr("axis", -1), nil, function(list)
    local norm = p == 1 and sum_of(list, math.abs) or math.sqrt(sum_of(list, square))
    return map(list, function(v) return self:put_real(norm == 0 and 0 or v / norm) end)
  end)
end

local function normalization(centre)
  return function(self, x, scale, bias)
    local axis = self:attr("axis", -1)
    local weights, shifts = reals(scale).list, bias and reals(bias).list
    return along(x, axis, #x.shape, function(list)
      local mean = centre and sum_of(list, same) / #list or 0
      local variance = sum_of(list, function(v) return (v - mean) ^ 2 end) / #list
      local factor = 1 / math.sqrt(variance + self:attr("epsilon", 1e-5))
      return map(list, function(v, i)
        return self:put_real((v - mean) * factor * weights[i] + (shifts and shifts[i] or 0))
      end)
    end)
  end
end

RULES.LayerNormalization, RULES.RMSNormalization = normalization(true), normalization(false)

-- --- integers that move --------------------------------------------------------------------------------------------

-- f(coordinates of the output) -> coordinates in x, or nil and a number.
local function moved(f)
  return function(self, x, ...)
    local more = { ... }
    return each(self.out.shape, function(at)
      local from, otherwise = f(self, at, x, table.unpack(more, 1, 4))
      return from and x.list[index(from, x.shape)] or otherwise
    end)
  end
end

local function copy(_, x) return { table.unpack(x.list) } end

for _, name in ipairs { "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity" } do RULES[name] = copy end

RULES.Transpose = moved(function(self, at)
  local from = {}
  for k, axis in ipairs(self:attr "perm") do from[axis + 1] = at[k] end
  return from
end)

RULES.Slice = moved(function(_, at, x, starts, _, axes, steps)
  local from = { table.unpack(at) }
  for k, start in ipairs(starts.list) do
    local axis = (axes and axes.list[k] or k - 1) % #x.shape + 1
    local first = start < 0 and start + x.shape[axis] or start
    from[axis] = first + at[axis] * (steps and steps.list[k] or 1)
  end
  return from
end)

function RULES.Split(self, x, sizes)
  local axis, first = self:attr("axis", 0) % #x.shape + 1, 0
  for k = 1, self.number - 1 do first = first + sizes.list[k] end
  return each(self.out.shape, function(at)
    local from = { table.unpack(at) }
    from[axis] = from[axis] + first
    return x.list[index(from, x.shape)]
  end)
end

function RULES.Concat(self, ...)
  local parts, axis = { ... }, self:attr "axis" % #self.out.shape + 1
  return each(self.out.shape, function(at)
    local from = { table.unpack(at) }
    for _, part in ipairs(parts) do
      if from[axis] < part.shape[axis] then return part.list[index(from, part.shape)] end
      from[axis] = from[axis] - part.shape[axis]
    end
  end)
end

RULES.Pad = moved(function(self, at, x, pads, value)
  local from, mode = {}, self:attr("mode", "constant")
  for k, d in ipairs(x.shape) do
    local i = at[k] - pads.list[k]
    if mode == "reflect" then
      while i < 0 or i >= d do i = i < 0 and -i or 2 * (d - 1) - i end
    elseif mode == "edge" then
      i = math.max(0, math.min(d - 1, i))
    elseif i < 0 or i >= d then
      return nil, value and value.list[1] or 0
    end
    from[k] = i
  end
  return from
end)

RULES.Gather = moved(function(self, at, x, indices)
  local axis, wide = self:attr("axis", 0) % #x.shape + 1, #indices.shape
  local own = { table.unpack(at, axis, axis + wide - 1) }
  local from = { table.unpack(at, 1, axis - 1) }
  from[axis] = indices.list[index(own, indices.shape)] % x.shape[axis]
  return table.move(at, axis + wide, #at, axis + 1, from)
end)

RULES.DepthToSpace = moved(function(self, at)
  local b, c = self:attr "blocksize", self.out.shape[2]
  local by, bx = at[3] % b, at[4] % b
  local channel = self:attr("mode", "DCR") == "DCR" and (by * b + bx) * c + at[2] or (at[2] * b + by) * b + bx
  return { at[1], channel, at[3] // b, at[4] // b }
end)

-- The runtime's order of channels: those of one input channel together.
RULES.SpaceToDepth = moved(function(self, at)
  local b = self:attr "blocksize"
  local part = at[2] % (b * b)
  return { at[1], at[2] // (b * b), at[3] * b + part // b, at[4] * b + part % b }
end)

RULES.ReverseSequence = moved(function(self, at, _, lengths)
  local batch, time = self:attr("batch_axis", 1) + 1, self:attr("time_axis", 0) + 1
  local from, n = { table.unpack(at) }, lengths.list[at[batch] + 1]
  if at[time] < n then from[time] = n - 1 - at[time] end
  return from
end)

RULES.InsertZeros = moved(function(self, at, x)
  local stride, from = self:attr "stride", { at[1], at[2] }
  for a, s in ipairs(stride) do
    if at[a + 2] % s ~= 0 or at[a + 2] // s >= x.shape[a + 2] then return nil, 0 end
    from[a + 2] = at[a + 2] // s
  end
  return from
end)

function RULES.ScatterND(_, x, indices, updates)
  local list, depth = { table.unpack(x.list) }, indices.shape[#indices.shape]
  local rows = #indices.list // depth
  local size = #updates.list // rows
  for r = 0, rows - 1 do
    local at = 0
    for k = 1, depth do at = at * x.shape[k] + indices.list[r * depth + k] end
    for i = 1, size do list[at * size + i] = updates.list[r * size + i] end
  end
  return list
end

function RULES.Resize(self, x)
  local linear, h, w = self:attr "mode" == "linear", x.shape[3], x.shape[4]
  local fy, fx = self.out.shape[3] / h, self.out.shape[4] / w
  local function at_real(n, c, y, z) return x.list[index({ n, c, y, z }, x.shape)] * 2.0 ^ x.e end
  local function place(i, factor, size)
    local v = f32(f32((i + 0.5) / factor) - 0.5)
    if v <= 0 then return 0, 0 end
    if v >= size - 1 then return size - 2, 1 end
    return math.floor(v), v - math.floor(v)
  end
  return each(self.out.shape, function(at)
    if not linear then
      local from = { at[1], at[2], math.min(math.floor(at[3] / fy), h - 1), math.min(math.floor(at[4] / fx), w - 1) }
      return self:put(x.list[index(from, x.shape)], x.e)
    end
    local y, v = place(at[3], fy, h)
    local z, u = place(at[4], fx, w)
    local function row(k) return at_real(at[1], at[2], k, z) * (1 - u) + at_real(at[1], at[2], k, z + 1) * u end
    return self:put_real(row(y) * (1 - v) + row(y + 1) * v)
  end)
end

-- --- interface -----------------------------------------------------------------------------------------------------

-- Sums and roots in float32, in an order that is the kernel's own.
local OWN_ORDER = {}
for name in ("LpNormalization LayerNormalization RMSNormalization ReduceLogSum ReduceLogSumExp ReduceProd ReduceL1 "
  .. "ReduceSumSquare Resize Pow Mod"):gmatch "%w+" do
  OWN_ORDER[name] = 1
end

--- Output `number` of a node: a list, and how far it may be off; nil where there is no rule. `out`: { shape, e, bits }.
function M.output(node, number, inputs, out, rounding)
  local rule = RULES[node.op_type]
  if not rule then return nil end
  local self = setmetatable({ node = node, number = number, out = out, round = M.ROUND[rounding] }, Rule)
  return rule(self, table.unpack(inputs, 1, math.max(#inputs, 8))), OWN_ORDER[node.op_type] or 0
end

return M
