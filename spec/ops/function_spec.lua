--- Functions of numbers on every element type: the edges that ONNX's own tests leave out.

local core = require "espquant.core"

-- -1 stands for the largest uint64.
local function tensor(list, dtype)
  if dtype ~= "uint64" then return core.tensor_from(list, dtype) end
  return core.tensor_from(list, "int64"):astype "uint64"
end

local function apply(op, inputs, attrs)
  local g = core.graph { name = "spec", opset = 24 }
  local values = {}
  for i, t in ipairs(inputs) do values[i] = g:add_constant("x" .. i, t) end
  g:add_output(g:add_node { op_type = op, inputs = values, outputs = { "y" }, attrs = attrs })
  local outputs, message, code = core.evaluate(g, {})
  if not outputs then return nil, message, code end
  return outputs[1]
end

local low32, low64 = math.mininteger >> 32 | -1 << 31, math.mininteger

-- operator, type, first operand, second, result, attributes
local cases = {
  { "Div", "int32", { 7, -7, low32, 5 }, { -2, 2, -1, 0 }, { -3, -3, low32, 0 } },
  { "Div", "int64", { low64, 1 }, { -1, 0 }, { low64, 0 } },
  { "Div", "uint64", { -1 }, { 2 }, { math.maxinteger } },
  { "Mod", "int32", { 7, -7, 7, -7, 7, low32 }, { 3, 3, -3, -3, 0, -1 }, { 1, 2, -2, -1, 0, 0 } },
  { "Mod", "int32", { 7, -7, 7, -7 }, { 3, 3, -3, -3 }, { 1, -1, 1, -1 }, { fmod = 1 } },
  { "Add", "int8", { 127, -128 }, { 1, -1 }, { -128, 127 } },
  { "Sub", "uint8", { 0 }, { 1 }, { 255 } },
  { "Mul", "int64", { math.maxinteger }, { 2 }, { -2 } },
  { "Pow", "int32", { 2, -1, -1, 1, 3, 0 }, { 31, -3, -2, -9, -1, 0 }, { low32, -1, 1, 1, 0, 1 } },
  { "Max", "uint64", { -1, 1 }, { 1, 2 }, { -1, 2 } },
  { "Less", "uint64", { 1, -1 }, { -1, 1 }, { true, false } },
  { "Equal", "bool", { 1, 0, 1 }, { 1, 1, 0 }, { true, false, false } },
  { "Abs", "int8", { -128, -5, 5 }, nil, { -128, 5, 5 } },
  { "Neg", "int64", { low64, 3 }, nil, { low64, -3 } },
  { "Not", "bool", { 1, 0 }, nil, { false, true } },
  { "Round", "float64", { 0.5, 1.5, 2.5, -2.5 }, nil, { 0.0, 2.0, 2.0, -2.0 } },
  { "Gelu", "float64", { 0, 100 }, nil, { 0.0, 100.0 } },
  { "Softplus", "float64", { 1000, -1000 }, nil, { 1000.0, 0.0 } },
  { "Mish", "float64", { 1000, 0 }, nil, { 1000.0, 0.0 } },
  { "Reciprocal", "float32", { 4, -0.5, 0 }, nil, { 0.25, -2.0, math.huge } },
  { "Cast", "float32", { 300, -1, 2.9, 0 / 0 }, nil, { 255, 0, 2, 0 }, { to = 2 } },
}

describe("functions of numbers", function()
  for _, c in ipairs(cases) do
    local op, dtype, a, b, expected, attrs = c[1], c[2], c[3], c[4], c[5], c[6]
    it(("%s of %s"):format(op, dtype), function()
      local inputs = { tensor(a, dtype), b and tensor(b, dtype) }
      local got = assert(apply(op, inputs, attrs)):totable()
      for i, x in ipairs(expected) do
        local y = got[i]
        if type(x) == "boolean" then y = y == true or y == 1 end
        assert.equal(x, y, ("%s of element %d"):format(op, i))
      end
    end)
  end

  it("give a Gelu's values", function()
    local exact = apply("Gelu", { tensor({ 1 }, "float64") }):totable()[1]
    local tanh = apply("Gelu", { tensor({ 1 }, "float64") }, { approximate = "tanh" }):totable()[1]
    assert.is_true(math.abs(exact - 0.8413447460685429) < 1e-15, exact)
    assert.is_true(math.abs(tanh - 0.8411919906082768) < 1e-15, tanh)
  end)

  it("give a Swish's values", function()
    local y = apply("Swish", { tensor({ 2 }, "float64") }, { alpha = 0.5 }):totable()[1]
    assert.is_true(math.abs(y - 2 / (1 + math.exp(-1))) < 1e-7, y)
  end)

  it("name the types they take", function()
    local got, message, code = apply("Sqrt", { tensor({ 4 }, "int32") })
    assert.is_nil(got)
    assert.equal("unsupported", code)
    assert.matches("has type int32, expected float32, float16, float64", message)
    got, message = apply("Mod", { tensor({ 4 }, "int32"), tensor({ 4 }, "int64") })
    assert.is_nil(got)
    assert.matches("are int32 and int64, expected one type", message)
  end)
end)
