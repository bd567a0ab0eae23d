-- Operators of ESP-DL v3 in both widths and both roundings, with channels that fill blocks and that do not, against
-- the definitions in plain Lua.

local core = require "espquant.core"

local function half_up(x) return math.floor(x + 0.5) end
local function half_even(x)
  local below = math.floor(x)
  if x - below ~= 0.5 then return math.floor(x + 0.5) end
  return below % 2 == 0 and below or below + 1
end
local ROUNDING = { ["half-up"] = half_up, ["half-even"] = half_even }
local TYPE = { [8] = "int8", [16] = "int16" }

local function clip(v, bits) return math.tointeger(math.max(-(1 << (bits - 1)), math.min((1 << (bits - 1)) - 1, v))) end
local function f32(x) return (string.unpack("f", string.pack("f", x))) end

local seed = 1
local function random(lo, hi)
  seed = (seed * 6364136223846793005 + 1442695040888963407)
  return lo + (seed >> 33) % (hi - lo + 1)
end

-- An integer operand: { list =, shape =, bits =, exponents =, constant = }, below limit in size.
local function operand(bits, shape, exponent, constant, limit)
  local n, list = 1, {}
  for _, d in ipairs(shape) do n = n * d end
  limit = limit or 1 << (bits - 1)
  for i = 1, n do list[i] = random(-limit, limit - 1) end
  list[1], list[n] = -limit, limit - 1
  return { list = list, shape = shape, bits = bits, exponents = { exponent }, constant = constant }
end

local function tensor(o) return core.tensor_from(o.list, o.dtype or TYPE[o.bits]):reshape(o.shape) end

-- One node of the v3 column; its output as a list.
local function run(rounding, op, attrs, operands, bits, exponent)
  local g = core.graph { name = "one", opset = 18 }
  local inputs, feeds = {}, {}
  for i, o in ipairs(operands) do
    if o.constant then inputs[i] = g:add_constant("c" .. i, tensor(o))
    else
      inputs[i] = g:add_input("x" .. i, TYPE[o.bits], o.shape)
      feeds[#feeds + 1] = tensor(o)
    end
    if o.exponents then inputs[i]:set_quant(o.bits, o.exponents) end
  end
  local n = g:add_node { op_type = op, inputs = inputs, outputs = { "y" }, attrs = attrs }
  n.column, g.arithmetic = "v3", "v3-" .. rounding
  if bits then n:output(1):set_quant(bits, { exponent }) end
  g:add_output(n:output(1))
  assert(g:infer_shapes())
  local exec <close> = assert(core.executor(g, { threads = 1 }))
  return assert(exec:run(feeds))[1]:reshape({ -1 }):totable()
end

-- The sum of a convolution along one line, 1-D: x [1, ic, width], w [oc, ic / groups, kernel].
local function conv_sum(x, w, c, at, case)
  local ic, width, sum = case.ic // case.groups, case.width, 0
  local first = (c // (case.oc // case.groups)) * ic
  for i = 0, ic - 1 do
    for k = 0, case.kernel - 1 do
      local p = at * case.stride + k * case.dilation - case.pad
      if p >= 0 and p < width then
        sum = sum + x.list[(first + i) * width + p + 1] * w.list[(c * ic + i) * case.kernel + k + 1]
      end
    end
  end
  return sum
end

local CONVS = {
  { ic = 3, oc = 16, groups = 1, kernel = 3, stride = 2, dilation = 1, pad = 1 },
  { ic = 16, oc = 33, groups = 1, kernel = 1, stride = 1, dilation = 1, pad = 0 },
  { ic = 17, oc = 5, groups = 1, kernel = 5, stride = 1, dilation = 2, pad = 3 },
  { ic = 21, oc = 21, groups = 21, kernel = 3, stride = 1, dilation = 1, pad = 1 },
  { ic = 32, oc = 32, groups = 32, kernel = 3, stride = 2, dilation = 2, pad = 2 },
}

local function test_conv(name, round, bits)
  for _, case in ipairs(CONVS) do
    case.width = 19
    local x = operand(bits, { 1, case.ic, case.width }, -5)
    local w = operand(bits, { case.oc, case.ic // case.groups, case.kernel }, -6, true, 4)
    local e, bias = {}, { shape = { case.oc }, constant = true, dtype = bits == 8 and "int32" or "int64",
      bits = bits == 8 and 32 or 64, list = {}, exponents = {} }
    for c = 1, case.oc do
      e[c] = name == "half-even" and -6 - c % 3 or -6
      bias.exponents[c], bias.list[c] = -5 + e[c], random(-500, 500)
    end
    w.exponents = name == "half-even" and e or { -6 }
    if name ~= "half-even" then bias.exponents = { -11 } end
    local out = -8 -- a small shift: many ties
    for _, activation in ipairs { "Linear", "Relu" } do
      local attrs = { kernel_shape = { case.kernel }, strides = { case.stride }, group = case.groups,
        dilations = { case.dilation }, pads = { case.pad, case.pad }, activation = activation }
      local got = run(name, "Conv", attrs, { x, w, bias }, bits, out)
      local length = #got // case.oc
      assert.equal((case.width + 2 * case.pad - (case.kernel - 1) * case.dilation - 1) // case.stride + 1, length)
      for c = 0, case.oc - 1 do
        for at = 0, length - 1 do
          local v = round((conv_sum(x, w, c, at, case) + bias.list[c + 1]) * 2.0 ^ (-5 + e[c + 1] - out))
          if activation == "Relu" then v = math.max(v, 0) end
          assert.equal(clip(v, bits), got[c * length + at + 1])
        end
      end
    end
  end
end

local function test_matmul(name, round, bits)
  for _, constant in ipairs { true, false } do
    for _, n in ipairs { 5, 16, 19 } do
      local a, b = operand(bits, { 3, 7 }, -4), operand(bits, { 7, n }, -6, constant, 4)
      local out = -7
      local got = run(name, "MatMul", {}, { a, b }, bits, out)
      for i = 0, 2 do
        for j = 0, n - 1 do
          local sum = 0
          for k = 0, 6 do sum = sum + a.list[i * 7 + k + 1] * b.list[k * n + j + 1] end
          assert.equal(clip(round(sum * 2.0 ^ (-10 - out)), bits), got[i * n + j + 1])
        end
      end
    end
  end
end

local function test_elements(name, round, bits)
  for _, channels in ipairs { 3, 16, 21 } do
    local x, y = operand(bits, { 1, channels, 2, 3 }, -4), operand(bits, { 1, channels, 2, 3 }, -4)
    local slope = operand(bits, { channels, 1, 1 }, -6, true)
    local sums, differences = run(name, "Add", {}, { x, y }, bits, -4), run(name, "Sub", {}, { x, y }, bits, -4)
    local rectified = run(name, "PRelu", {}, { x, slope }, bits, -3)
    local product = run(name, "Mul", {}, { x, slope }, bits, -5)
    local negated, positive = run(name, "Neg", {}, { x }, bits, -4), run(name, "Relu", {}, { x }, bits, -4)
    local quotient, larger = run(name, "Div", {}, { x, y }, bits, -2), run(name, "Greater", {}, { x, y })
    for i, a in ipairs(x.list) do
      local b, s = y.list[i], slope.list[(i - 1) // 6 + 1]
      assert.equal(clip(a + b, bits), sums[i])
      assert.equal(clip(a - b, bits), differences[i])
      assert.equal(clip(a >= 0 and round(a / 2) or round(a * s / 128), bits), rectified[i])
      assert.equal(clip(round(a * s / 32), bits), product[i])
      assert.equal(clip(-a, bits), negated[i])
      assert.equal(math.max(a, 0), positive[i])
      if a ~= 0 and b ~= 0 then assert.equal(clip(round(f32(f32(a * 4.0) / b)), bits), quotient[i]) end
      assert.equal(a > b, larger[i] == true or larger[i] == 1)
    end
  end
end

local function test_reductions(name, round, bits)
  local x = operand(bits, { 1, 5, 2, 7 }, -4)
  local axes = { list = { 1 }, shape = { 1 }, dtype = "int64", constant = true }
  local out = bits == 8 and -2 or -1
  local got = {}
  for _, op in ipairs { "Sum", "Mean", "L1", "L2", "Max", "Min" } do
    got[op] = run(name, "Reduce" .. op, {}, { x, axes }, bits, (op == "Max" or op == "Min") and -4 or out)
  end
  for i = 1, 14 do
    local sum, size, squares, most, least = 0, 0, 0, -math.huge, math.huge
    for c = 0, 4 do
      local v = x.list[c * 14 + i]
      sum, size, squares = sum + v, size + math.abs(v), squares + v * v
      most, least = math.max(most, v), math.min(least, v)
    end
    local step = 2.0 ^ (-4 - out)
    assert.equal(clip(round(sum * step), bits), got.Sum[i])
    assert.equal(clip(round(f32(f32(sum * 2.0 ^ -4) / 5) * 2.0 ^ -out), bits), got.Mean[i])
    assert.equal(clip(round(size * step), bits), got.L1[i])
    assert.equal(clip(round(f32(math.sqrt(f32(squares))) * step), bits), got.L2[i])
    assert.equal(most, got.Max[i])
    assert.equal(least, got.Min[i])
  end
end

for name, round in pairs(ROUNDING) do
  for _, bits in ipairs { 8, 16 } do
    describe(("ESP-DL v3, %s, %d bits, exactly:"):format(name, bits), function()
      it("Conv", function() test_conv(name, round, bits) end)
      it("MatMul", function() test_matmul(name, round, bits) end)
      it("operators by element", function() test_elements(name, round, bits) end)
      it("reductions", function() test_reductions(name, round, bits) end)
    end)
  end
end
