-- Operators of ESP-DL v3's runtime, and its rounding, against plain Lua.

local core = require "espquant.core"

local function half_up(x) return math.floor(x + 0.5) end
local function half_even(x)
  local below = math.floor(x)
  if x - below ~= 0.5 then return math.floor(x + 0.5) end
  return below % 2 == 0 and below or below + 1
end

local ROUNDING = { ["half-up"] = half_up, ["half-even"] = half_even }
local TYPE = { [8] = "int8", [16] = "int16" }

local function clip(v, bits) return math.max(-(1 << (bits - 1)), math.min((1 << (bits - 1)) - 1, v)) end

-- x -> node -> y in the v3 column, with exponents and widths; returns the outputs of running it on the tensor.
local function run(rounding, node, x, x_bits, x_exponent, y_bits, y_exponent, more)
  local g = core.graph { name = "one", opset = 18 }
  local input = g:add_input("x", x.dtype, x.shape)
  if x_bits then input:set_quant(x_bits, { x_exponent }) end
  node.inputs, node.outputs = { input }, { "y" }
  for i, tensor in ipairs(more or {}) do node.inputs[i + 1] = g:add_constant("c" .. i, tensor) end
  local n = g:add_node(node)
  n.column = "v3"
  if y_bits then n:output(1):set_quant(y_bits, { y_exponent }) end
  g.arithmetic = "v3-" .. rounding
  g:add_output(n:output(1))
  assert(g:infer_shapes())
  local exec <close> = assert(core.executor(g, {}))
  return assert(exec:run(x))[1]
end

local function integers(bits)
  local list = {}
  for i = 1, 200 do list[i] = (i * 7919) % (1 << bits) - (1 << (bits - 1)) end
  return core.tensor_from(list, TYPE[bits]), list
end

for name, round in pairs(ROUNDING) do
  describe("ESP-DL v3, " .. name, function()
    for _, case in ipairs { { 8, -3, 8, -1 }, { 8, -3, 16, -7 }, { 16, -12, 8, -5 }, { 16, 0, 16, 3 }, { 8, 0, 8,
      0 } } do
      it(("requantizes int%d at %d to int%d at %d"):format(table.unpack(case)), function()
        local from, ein, to, eout = table.unpack(case)
        local x, list = integers(from)
        local y = run(name, { op_type = "RequantizeLinear", domain = "esp" }, x, from, ein, to, eout)
        assert.equal(TYPE[to], y.dtype)
        for i, v in ipairs(y:totable()) do assert.equal(clip(round(list[i] * 2.0 ^ (ein - eout)), to), v) end
      end)
    end

    it("quantizes, ties included, and dequantizes", function()
      local list = {}
      for i = -40, 40 do list[#list + 1] = i / 16 end
      for bits, exponent in pairs { [8] = -3, [16] = -2 } do
        local x = core.tensor_from(list, "float32")
        local q = run(name, { op_type = "QuantizeLinear", domain = "esp" }, x, nil, nil, bits, exponent)
        for i, v in ipairs(q:totable()) do assert.equal(clip(round(list[i] * 2.0 ^ -exponent), bits), v) end
        local y = run(name, { op_type = "DequantizeLinear", domain = "esp" }, q, bits, exponent)
        for i, v in ipairs(y:totable()) do assert.equal(q:totable()[i] * 2.0 ^ exponent, v) end
      end
    end)

    it("looks up tables of 8 bits, and of 16 bits at the nearest step", function()
      for bits, entries in pairs { [8] = 256, [16] = 2049 } do
        local x, list = integers(bits)
        local values = {}
        for i = 1, entries do values[i] = (i * 31) % 251 - 125 end
        local node = { op_type = "LUT", domain = "esp", attrs = { original_op_type = "Tanh" } }
        local y = run(name, node, x, bits, -5, bits, -6, { core.tensor_from(values, TYPE[bits]) })
        for i, v in ipairs(y:totable()) do
          local index = bits == 8 and list[i] + 128 or round((list[i] + 32768) / 32)
          assert.equal(values[index + 1], v)
        end
      end
    end)

    it("averages windows in float32", function()
      local x, list = integers(8)
      local node = { op_type = "AveragePool", attrs = { kernel_shape = { 1, 3 }, strides = { 1, 3 } } }
      local y = run(name, node, x:reshape { 1, 2, 1, 100 }, 8, -4, 8, -5)
      local values = y:reshape { -1 }:totable()
      assert.equal(66, #values)
      local third = string.unpack("f", string.pack("f", 1 / 3))
      for c = 0, 1 do
        for i = 0, 32 do
          local at = c * 100 + i * 3
          local sum = list[at + 1] + list[at + 2] + list[at + 3]
          local product = string.unpack("f", string.pack("f", sum * (third * 2)))
          assert.equal(clip(round(product), 8), values[c * 33 + i + 1])
        end
      end
    end)

    it("inserts zeros", function()
      local x = core.tensor_from({ 1, 2, 3, 4 }, "int8"):reshape { 1, 1, 2, 2 }
      local node = { op_type = "InsertZeros", domain = "esp", attrs = { stride = { 2, 3 }, output_padding = { 1, 0 } } }
      local y = run(name, node, x, 8, -4, 8, -4)
      assert.same({ 1, 1, 4, 4 }, y.shape)
      assert.same({ 1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0 }, y:reshape { -1 }:totable())
    end)

    it("multiplies with one rounding", function()
      local x, list = integers(8)
      local g = core.graph { name = "mul", opset = 18 }
      local a, b = g:add_input("a", "int8", { 200 }), g:add_input("b", "int8", { 200 })
      a:set_quant(8, { -4 })
      b:set_quant(8, { -5 })
      local n = g:add_node { op_type = "Mul", inputs = { a, b }, outputs = { "y" } }
      n.column, g.arithmetic = "v3", "v3-" .. name
      n:output(1):set_quant(8, { -3 })
      g:add_output(n:output(1))
      assert(g:infer_shapes())
      local exec <close> = assert(core.executor(g, {}))
      local y = assert(exec:run { x, x })[1]:totable()
      for i, v in ipairs(y) do assert.equal(clip(round(list[i] * list[i] / 64), 8), v) end
    end)

    it("adds the bias before the shift of a Conv, and cuts below 0 for its own Relu", function()
      local x, list = integers(8)
      for _, activation in ipairs { "Linear", "Relu" } do
        local g = core.graph { name = "conv", opset = 18 }
        local input = g:add_input("x", "int8", { 1, 2, 1, 100 })
        input:set_quant(8, { -4 })
        local w = g:add_constant("w", core.tensor_from({ 3, -7, 100, 5 }, "int8"):reshape { 2, 2, 1, 1 })
        w:set_quant(8, { -6, -7 })
        local b = g:add_constant("b", core.tensor_from({ 33, -1000 }, "int32"))
        b:set_quant(32, { -10, -11 })
        local n = g:add_node { op_type = "Conv", inputs = { input, w, b }, outputs = { "y" },
          attrs = { kernel_shape = { 1, 1 }, activation = activation } }
        n.column, g.arithmetic = "v3", "v3-" .. name
        n:output(1):set_quant(8, { -6 })
        g:add_output(n:output(1))
        assert(g:infer_shapes())
        local exec <close> = assert(core.executor(g, {}))
        local y = assert(exec:run(x:reshape { 1, 2, 1, 100 }))[1]:reshape { -1 }:totable()
        for i = 1, 100 do
          local first = clip(round((list[i] * 3 - list[100 + i] * 7 + 33) / 16), 8)
          local second = clip(round((list[i] * 100 + list[100 + i] * 5 - 1000) / 32), 8)
          if activation == "Relu" then first, second = math.max(first, 0), math.max(second, 0) end
          assert.equal(first, y[i])
          assert.equal(second, y[100 + i])
        end
      end
    end)
  end)
end

describe("Tensor:quantize", function()
  it("rounds as asked for, to any width", function()
    local t = core.tensor_from({ 0.5, 1.5, -0.5, -1.5, 1e9 }, "float32")
    assert.same({ 0, 2, 0, -2, 127 }, t:quantize({ 0 }, 8):totable())
    assert.same({ 1, 2, 0, -1, 127 }, t:quantize({ 0 }, 8, nil, "half-up"):totable())
    local bias = t:quantize({ 0 }, 20, nil, "half-up")
    assert.equal("int32", bias.dtype)
    assert.equal((1 << 19) - 1, bias:totable()[5])
    assert.equal("int64", t:quantize({ 0 }, 40).dtype)
  end)
end)

describe("core.targets", function()
  it("tells how each chip computes", function()
    local p4
    for _, t in ipairs(core.targets()) do
      if t.runtime == "v3" and t.chip == "esp32p4" then p4 = t end
    end
    assert.same({ runtime = "v3", chip = "esp32p4", group = "p4", order = "blocked", rounding = "half-even",
      per_channel = true, bias_bits_8 = 32, bias_bits_16 = 40 }, p4)
  end)
end)
