--- MatMul and Gemm on every type and shape that ONNX allows: what its own tests leave out.

local core = require "espquant.core"

local function apply(op, inputs, attrs)
  local g = core.graph { name = "spec", opset = 17 }
  local values = {}
  for i, t in ipairs(inputs) do values[i] = g:add_constant("x" .. i, t) end
  g:add_output(g:add_node { op_type = op, inputs = values, outputs = { "y" }, attrs = attrs })
  local outputs, message, code = core.evaluate(g, {})
  if not outputs then return nil, message, code end
  return outputs[1]
end

local function tensor(list, dtype, shape) return core.tensor_from(list, dtype):reshape(shape) end

-- operator, type, a, its shape, b, its shape, c or nil, its shape, attributes, result, its shape
local a, b = { 1, 2, 3, 4, 5, 6 }, { 1, -1, 0, 2, 3, 1 }
local cases = {
  { "MatMul", "int32", a, { 2, 3 }, b, { 3, 2 }, nil, nil, nil, { 10, 6, 22, 12 }, { 2, 2 } },
  { "MatMul", "float64", a, { 2, 3 }, b, { 3, 2 }, nil, nil, nil, { 10, 6, 22, 12 }, { 2, 2 } },
  { "MatMul", "float16", a, { 2, 3 }, b, { 3, 2 }, nil, nil, nil, { 10, 6, 22, 12 }, { 2, 2 } },
  { "MatMul", "int64", { math.maxinteger }, { 1 }, { 2 }, { 1 }, nil, nil, nil, { -2 }, {} },
  { "MatMul", "int64", a, { 2, 3 }, { 1, 0, 2 }, { 3 }, nil, nil, nil, { 7, 16 }, { 2 } },
  { "MatMul", "int32", { 1, 10 }, { 2, 1, 1, 1 }, { 1, 2, 3 }, { 3, 1, 1 }, nil, nil, nil, { 1, 2, 3, 10, 20, 30 },
    { 2, 3, 1, 1 } },
  { "MatMul", "float32", {}, { 2, 0 }, {}, { 0, 2 }, nil, nil, nil, { 0, 0, 0, 0 }, { 2, 2 } },
  { "Gemm", "int32", a, { 3, 2 }, b, { 2, 3 }, { 5 }, { 1 }, { transA = 1, transB = 1 }, { 3, 21, 3, 27 }, { 2, 2 } },
  { "Gemm", "float64", a, { 2, 3 }, b, { 3, 2 }, { 1, 2 }, { 2, 1 }, { alpha = 0.5, beta = 2.0 }, { 7, 5, 15, 10 },
    { 2, 2 } },
  { "Gemm", "int64", a, { 2, 3 }, b, { 3, 2 }, nil, nil, { alpha = 0.5 }, { 5, 3, 11, 6 }, { 2, 2 } },
  { "Gemm", "float32", {}, { 2, 0 }, {}, { 0, 2 }, { 1, 2 }, { 2 }, nil, { 1, 2, 1, 2 }, { 2, 2 } },
}

describe("matrix products", function()
  for k, c in ipairs(cases) do
    it(("%d: %s of %s"):format(k, c[1], c[2]), function()
      local inputs = { tensor(c[3], c[2], c[4]), tensor(c[5], c[2], c[6]), c[7] and tensor(c[7], c[2], c[8]) }
      local y, message = apply(c[1], inputs, c[9])
      assert(y, message)
      assert.same({ c[2], c[11] }, { y.dtype, y.shape })
      local got = y:reshape({ -1 }):totable()
      for i, x in ipairs(c[10]) do assert.equal(x, got[i]) end
    end)
  end

  it("refuse operands of two types, and small integers", function()
    local y, message = apply("MatMul", { tensor({ 1 }, "int32", { 1, 1 }), tensor({ 1 }, "int64", { 1, 1 }) })
    assert.is_nil(y)
    assert.matches("are int32 and int64, expected one type", message)
    y, message = apply("MatMul", { tensor({ 1 }, "int8", { 1, 1 }), tensor({ 1 }, "int8", { 1, 1 }) })
    assert.is_nil(y)
    assert.matches("has type int8, expected", message)
  end)
end)
