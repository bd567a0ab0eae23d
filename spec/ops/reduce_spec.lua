--- Reductions and normalizations: forms that ONNX's own tests leave out, against naive evaluations.

local core = require "espquant.core"
local run = require "spec.support.run"

local function apply(op, opset, inputs, attrs)
  local g, values = core.graph { name = "spec", opset = opset }, {}
  for i, t in ipairs(inputs) do values[i] = g:add_constant("x" .. i, t) end
  g:add_output(g:add_node { op_type = op, inputs = values, outputs = { "y" }, attrs = attrs })
  local outputs, message, code = core.evaluate(g, {})
  if not outputs then return nil, message, code end
  return outputs[1]
end

local function ints(list, dtype) return core.tensor_from(list, dtype or "int64") end

-- y of x divided by f of each row of its last axis; x has rank 2.
local function by_rows(x, f)
  local list = {}
  for i, row in ipairs(x:totable()) do
    list[i] = {}
    local size = f(row)
    for k, v in ipairs(row) do list[i][k] = v / size end
  end
  return list
end

local function near(expected, got)
  for i, row in ipairs(got:totable()) do
    for k, v in ipairs(row) do assert.is_true(math.abs(v - expected[i][k]) < 1e-6, ("%d %d: %s"):format(i, k, v)) end
  end
end

local function norm(p)
  return function(row)
    local sum = 0
    for _, v in ipairs(row) do sum = sum + math.abs(v) ^ p end
    return sum ^ (1 / p)
  end
end

describe("reductions", function()
  local cases = {
    { "ReduceSum", ints({ 127, 2, 3 }, "int32"), 132 },
    { "ReduceSum", ints { math.maxinteger, 1 }, math.mininteger },
    { "ReduceMean", ints({ -7, 2 }, "int32"), -2 },
    { "ReduceMax", ints({ -7, 2 }, "int8"), 2 },
    { "ReduceMin", ints { math.maxinteger, math.mininteger }, math.mininteger },
    { "ReduceMax", ints({ -1, 5 }):astype "uint64", -1 },
    { "ReduceL1", ints { -3, 4 }, 7 },
    { "ReduceL2", ints { -3, 4 }, 5 },
    { "ReduceSumSquare", ints { -3, 4 }, 25 },
    { "ReduceProd", ints { -3, 4, 5 }, -60 },
    { "ReduceLogSumExp", ints({ 1000, 1000 }):astype "float64", 1000 + math.log(2) },
  }
  for _, c in ipairs(cases) do
    it(("%s of %s"):format(c[1], c[2].dtype), function()
      assert.equal(c[3], apply(c[1], 18, { c[2] }, { keepdims = 0 }):item())
    end)
  end

  it("of nothing", function()
    local none = core.tensor({ 0, 2 }, "float32")
    local axis = ints { 0 }
    assert.same({ 0, 0 }, apply("ReduceSum", 18, { none, axis }, { keepdims = 0 }):totable())
    assert.same({ 1, 1 }, apply("ReduceProd", 18, { none, axis }, { keepdims = 0 }):totable())
    assert.same({ -math.huge, -math.huge }, apply("ReduceMax", 20, { none, axis }, { keepdims = 0 }):totable())
    assert.same({ math.huge, math.huge }, apply("ReduceMin", 20, { none, axis }, { keepdims = 0 }):totable())
  end)

  it("refuse axes that are not there, twice formed or outside", function()
    local x = run.numbers { 2, 3 }
    local function refused(pattern, ...)
      local got, message = apply(...)
      assert.is_nil(got)
      assert.matches(pattern, message)
    end
    refused("axis 2", "ReduceMax", 18, { x, ints { 2 } })
    refused("axes are an input, but an attribute in opset 13", "ReduceMax", 13, { x, ints { 0 } })
    refused("axes are an attribute, but an input in opset 18", "ReduceMax", 18, { x }, { axes = { 0 } })
    refused("has type bool", "ReduceSum", 18, { x:astype "bool" })
  end)
end)

describe("normalizations", function()
  local x = run.numbers({ 3, 700 }, 7)

  it("LpNormalization divides by the norm", function()
    near(by_rows(x, norm(2)), apply("LpNormalization", 22, { x }))
    near(by_rows(x, norm(1)), apply("LpNormalization", 1, { x }, { p = 1, axis = 1 }))
    assert.same({ { 0, 0 } }, apply("LpNormalization", 22, { core.tensor({ 1, 2 }, "float32") }):totable())
  end)

  it("RMSNormalization divides by the root of the mean square", function()
    local scale = run.numbers({ 700 }, 8)
    local expected = by_rows(x, function(row) return math.sqrt(norm(2)(row) ^ 2 / #row + 1e-5) end)
    local factors = scale:totable()
    for _, row in ipairs(expected) do
      for k, v in ipairs(row) do row[k] = v * factors[k] end
    end
    near(expected, apply("RMSNormalization", 23, { x, scale }))
  end)

  it("refuse a norm that ONNX does not have", function()
    local got, message = apply("LpNormalization", 22, { x }, { p = 3 })
    assert.is_nil(got)
    assert.matches("p is 3, expected 1 or 2", message)
  end)
end)
