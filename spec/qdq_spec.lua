--- Models of quantization-aware training become float graphs: QuantizeLinear, DequantizeLinear, the QLinear operators.

local Calibrator = require "espquant.calibrator"
local core = require "espquant.core"
local model_scales = require "espquant.model_scales"
local onnx = require "espquant.onnx"

local function put(graph)
  local path = os.tmpname()
  assert(core.onnx_write(graph, path))
  return path
end

local function read(graph)
  local path = put(graph)
  local again, message, code = onnx.load(path)
  os.remove(path)
  return again, message, code
end

local function ops(graph)
  local list = {}
  for node in graph:nodes() do if node.op_type ~= "Identity" then list[#list + 1] = node.op_type end end
  return table.concat(list, " ")
end

-- A graph and a maker of its nodes; constants are { dtype, numbers, shape }.
local function builder(opset)
  local graph = core.graph { opset = opset or 13 }
  local b = { graph = graph }
  function b.constant(dtype, numbers, shape)
    local t = core.tensor_from(numbers, dtype)
    return graph:add_constant(nil, shape and t:reshape(shape) or t)
  end
  function b.node(op, inputs, attrs, out, domain)
    return graph:add_node { op_type = op, inputs = inputs, attrs = attrs, outputs = { out or "v" .. #graph },
      domain = domain }:output(1)
  end
  function b.pair(x, scale, zero, attrs)
    return b.node("DequantizeLinear", { b.node("QuantizeLinear", { x, scale, zero }, attrs), scale, zero }, attrs)
  end
  return b
end

local function scalar(b, dtype, x) return b.constant(dtype, x) end

describe("QDQ models", function()
  for _, case in ipairs {
    { opset = 10, dtype = "int8", scale = 0.03, zero = 0, exponent = -5 },
    { opset = 13, dtype = "uint8", scale = 0.02, zero = 128, exponent = -6 },
    { opset = 13, dtype = "uint8", scale = 0.01, zero = 0, exponent = -6 }, -- 0 to 2.55 needs twice the step
    { opset = 19, dtype = "int8", scale = 0.25, zero = -128, exponent = -1 },
    { opset = 21, dtype = "int16", scale = 2.0 ^ -12, zero = 0, exponent = -12 },
  } do
    it(("of opset %d: %s, zero point %d"):format(case.opset, case.dtype, case.zero), function()
      local b = builder(case.opset)
      local x = b.graph:add_input("x", "float32", { 1, 4 })
      local y = b.node("Relu", { b.pair(x, scalar(b, "float32", case.scale), scalar(b, case.dtype, case.zero)) }, nil,
        "y")
      b.graph:add_output(y)
      local graph = assert(read(b.graph))
      assert.equal("Relu", ops(graph))
      local fact = model_scales.list(graph)[1]
      assert.same({ "x", case.zero, case.dtype, case.exponent },
        { fact.name, fact.zero_point, fact.dtype, fact.exponent })
      assert.is_true(math.abs(fact.scale - case.scale) < 1e-7 and fact.error > -0.3 and fact.error < 0.42)
      assert.same(model_scales.list(graph), model_scales.list(assert(read(graph)))) -- through a file
    end)
  end

  it("have their constants folded, per tensor and per axis", function()
    local b = builder()
    local x = b.graph:add_input("x", "float32", { 1, 2, 1, 1 })
    local w = b.node("DequantizeLinear", { b.constant("int8", { 2, 4, -6, 8 }, { 2, 2, 1, 1 }),
      b.constant("float32", { 0.5, 0.25 }), b.constant("int8", { 0, 4 }) }, { axis = 0 })
    local c = b.node("DequantizeLinear", { b.constant("int32", { 8, -8 }), scalar(b, "float32", 0.125) })
    b.graph:add_output(b.node("Conv", { x, w, c }, nil, "y"))
    local graph = assert(read(b.graph))
    assert.equal("Conv", ops(graph))
    assert.same({ { { { 1 } }, { { 2 } } }, { { { -2.5 } }, { { 1 } } } },
      graph:node_list()[1]:input(2).constant:totable())
    assert.same({ 1, -1 }, graph:node_list()[1]:input(3).constant:totable())
  end)

  it("of QLinear operators", function()
    local b = builder()
    local x = b.graph:add_input("x", "float32", { 1, 1, 1, 2 })
    local s, z = scalar(b, "float32", 0.5), scalar(b, "int8", 0)
    local q = b.node("QuantizeLinear", { x, s, z })
    local conv = b.node("QLinearConv",
      { q, s, z, b.constant("int8", { 4, 8 }, { 2, 1, 1, 1 }), b.constant("float32", { 0.5, 0.25 }),
      z, s, z, b.constant("int32", { 4, 8 }) })
    local sum = b.node("QLinearAdd", { conv, s, z, conv, s, z, s, z }, nil, nil, "com.microsoft")
    local mean = b.node("QLinearGlobalAveragePool", { sum, s, z, s, z }, { channels_last = 0 }, "m", "com.microsoft")
    b.graph:add_output(b.node("DequantizeLinear", { sum, s, z }, nil, "y"))
    b.graph:add_output(b.node("DequantizeLinear", { mean, s, z }, nil, "z"))
    local graph = assert(read(b.graph))
    assert.equal("Conv Add GlobalAveragePool", ops(graph))
    local y = core.evaluate(graph, core.tensor_from({ 1, 2 }, "float32"):reshape { 1, 1, 1, 2 })[1]
    assert.same({ { { { 6, 10 } }, { { 6, 10 } } } }, y:totable()) -- 2 * (2x + 1), and 2 * (2x + 1)
    assert.equal(4, #model_scales.list(graph))
  end)

  it("with scales that are computed or of blocks are left, and refused by name", function()
    local b = builder(21)
    local x = b.graph:add_input("x", "float32", { 4 })
    b.graph:add_output(
      b.node("DequantizeLinear", { b.node("QuantizeLinear", { x, b.graph:add_input("s", "float32", {}) }),
      scalar(b, "float32", 1) }, nil, "y"))
    local graph = assert(read(b.graph))
    local ok, message = graph:check()
    assert.is_nil(ok)
    assert.matches("QuantizeLinear", message)
  end)

  -- x -> QuantizeLinear -> `between` -> DequantizeLinear -> y
  local function around(between)
    local b = builder()
    local x = b.graph:add_input("x", "float32", { 2, 4 })
    local s, z = scalar(b, "float32", 0.5), scalar(b, "uint8", 1)
    local q = between(b, b.node("QuantizeLinear", { x, s, z }), s, z)
    b.graph:add_output(b.node("DequantizeLinear", { q, s, z }, nil, "y"))
    return b.graph
  end

  it("of com.microsoft's Gemm, Softmax and Concat", function()
    local graph = assert(read(around(function(b, q, s, z)
      local w = b.constant("int8", { 1, 2, 3, 4, 5, 6, 7, 8 }, { 2, 4 })
      local gemm = b.node("QGemm", { q, s, z, w, b.constant("float32", { 0.5, 0.25 }), b.constant("int8", { 0, 0 }),
        b.constant("int32", { 4, 8 }), s, z }, { transB = 1, alpha = 2.0 }, nil, "com.microsoft")
      local soft = b.node("QLinearSoftmax", { gemm, s, z, s, z }, { axis = 1, opset = 13 }, nil, "com.microsoft")
      return b.node("QLinearConcat", { s, z, gemm, s, z, soft, s, z }, { axis = 1 }, nil, "com.microsoft")
    end)))
    assert.equal("Gemm Softmax Concat", ops(graph))
    local y = core.evaluate(graph, core.tensor_from({ { 1, 0, 0, 0 }, { 0, 0, 0, 1 } }, "float32"))[1]:totable()
    -- 2 * x w' + c * 2 * 0.5 * {0.5, 0.25}
    assert.same({ { 3, 4.5 }, { 6, 6 } }, { { y[1][1], y[1][2] }, { y[2][1], y[2][2] } })
    assert.same({ 0.5, 0.5 }, { y[2][3], y[2][4] })
  end)

  for _, case in ipairs {
    { "an operator that is not known", "QLinearWhere", "com.microsoft" }, { "one that reads them as numbers", "Neg" },
    { "one that computes them", "Cast", "", { to = 2 } },
  } do
    it("stay as they are where integers go through " .. case[1], function()
      local before = around(function(b, q) return b.node(case[2], { q }, case[4], nil, case[3]) end)
      local path = os.tmpname()
      assert(core.onnx_write(before, path))
      local model, notes = onnx.load(path)
      os.remove(path)
      assert.equal("QuantizeLinear " .. case[2] .. " DequantizeLinear", ops(assert(model)))
      assert.matches("^the model stays quantized, since " .. case[2] .. " .* computes with its integers", notes[#notes])
    end)
  end

  it("are followed through what moves integers and what asks where they are", function()
    local graph = assert(read(around(function(b, q)
      b.graph:add_output(b.node("ArgMax", { q }, { axis = 1 }, "where"))
      return b.node("Transpose", { q }, { perm = { 1, 0 } })
    end)))
    assert.equal("ArgMax Transpose", ops(graph))
  end)

  it("do not crash on attributes of another type", function()
    for _, axis in ipairs { "SAME_UPPER", { 1, 2 }, 1.5 } do
      local graph = assert(read(around(function(b, q, s, z)
        return b.node("QLinearConcat", { s, z, q, s, z }, { axis = axis }, nil, "com.microsoft")
      end)))
      assert.equal("QuantizeLinear QLinearConcat DequantizeLinear", ops(graph))
      local b = builder()
      b.graph:add_input("x", "float32", { 1 })
      b.graph:add_output(b.node("DequantizeLinear", { b.constant("int8", { 1, 2 }), b.constant("float32", { 1, 2 }) },
        { axis = axis }, "y"))
      local path = put(b.graph)
      assert.equal("DequantizeLinear", ops((onnx.read(path))))
      os.remove(path)
    end
  end)

  it("do not crash on inputs that are left out", function()
    for _, case in ipairs { { "DequantizeLinear" }, { "QLinearAdd", "com.microsoft" }, { "QGemm", "com.microsoft" },
      { "QLinearSoftmax", "com.microsoft" }, { "QLinearConcat", "com.microsoft" }, { "QuantizeLinear" } } do
      for left = 1, 4 do
        local b = builder()
        local inputs = { b.graph:add_input("x", "float32", { 2, 2 }) }
        for i = 1, 9 do inputs[i + 1] = scalar(b, i % 3 == 2 and "int8" or "float32", 1) end
        inputs[left] = false
        b.graph:add_output(b.node(case[1], inputs, nil, "y", case[2]))
        local path = put(b.graph)
        assert(onnx.read(path))
        os.remove(path)
      end
    end
  end)

  it("do not crash on scales that do not fit", function()
    for _, scale in ipairs { { { 1, 2, 3 } }, { { 1, 2, 3, 4 }, { 2, 2 } }, { {}, { 0 } } } do
      local b = builder()
      b.graph:add_input("x", "float32", { 1 })
      local q = b.constant("int8", { 1, 2, 3, 4 }, { 2, 2 })
      b.graph:add_output(b.node("DequantizeLinear", { q, b.constant("float32", scale[1], scale[2]) }, { axis = 7 },
        "y"))
      local graph = read(b.graph)
      assert.equal("DequantizeLinear", ops(assert(graph)))
    end
  end)

  it("give the calibrator their scales as powers of two", function()
    local b = builder()
    local x = b.graph:add_input("x", "float32", { 1, 4 })
    local h = b.pair(x, scalar(b, "float32", 0.03), scalar(b, "int8", 0))
    local y = b.node("Add", { h, b.constant("float32", { 1, 1, 1, 1 }) }, nil, "sum")
    b.graph:add_output(b.node("Relu", { b.pair(y, scalar(b, "float32", 0.06), scalar(b, "int8", 0)) }, nil, "y"))
    local graph = assert(read(b.graph))
    local data = core.tensor_from({ 0.1, 0.2, 0.3, 0.4 }, "float32"):reshape { 1, 4 }
    local t = assert(Calibrator { bits = "int8", model_scales = true }:measure_table(graph, data))
    assert.equal(-5, t:exponent "x")
    t = assert(Calibrator { bits = "int8", model_scales = true, input_exponent = -3 }:measure_table(graph, data))
    assert.equal(-3, t:exponent "x")
    t = assert(Calibrator { bits = "int8" }:measure_table(graph, data))
    assert.equal(-7, t:exponent "x")
  end)
end)
