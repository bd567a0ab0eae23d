-- The quantized graph: names, columns, integers, exponents, and everything that is wrong with a table at once.

local core = require "espquant.core"
local espquant = require "espquant"
local quant = require "espquant.quant"
local net = require "spec.support.net"
local fixtures = require "spec.support.fixtures"
require "espquant.model" -- g:run

local function quiet() end

-- Calibrates a model on data in [-1, 1); returns table and data.
local function calibrate(g, options)
  local o = { bits = "int8", log = quiet }
  for key, value in pairs(options or {}) do o[key] = value end
  local shape = g.inputs[1].shape
  shape[1] = 16
  local data = net.tensor(shape, 3, 0.99)
  return assert(espquant.Calibrator(o):measure_table(g, data)), data
end

local function apply(g, t, bits, granularity)
  local q, message, code, problems = quant.apply(g, t, { bits = bits or 8, granularity = granularity or "per-tensor" })
  if q then
    assert(q:verify())
    assert(q:check())
  end
  return q, message, code, problems
end

local CONFIGS = { { "int8", "per-tensor", 8, 12 }, { "int8", "per-channel", 8, 12 }, { "int16", "per-tensor", 16, 50 } }

-- Runs the model in every configuration: the signal-to-noise ratio must be at least `int8` dB (int16: 50 dB).
local function runs_well(g, int8)
  for _, c in ipairs(CONFIGS) do
    local t, data = calibrate(g, { bits = c[1], granularity = c[2] })
    local q = assert(apply(g, t, c[3], c[2]))
    local want, got = assert(g:run(data)), assert(assert(core.executor(q)):run(data))
    for i, tensor in ipairs(want) do
      local name = g.outputs[i].name
      assert.equal(name, q.outputs[i].name)
      assert.equal(c[1], got[i].dtype)
      local db = net.snr(tensor, assert(got[i]:dequantize(t:exponent(name))))
      assert.is_true(db >= (c[3] == 8 and (int8 or c[4]) or 50), ("%s %s '%s': %.1f dB"):format(c[1], c[2], name, db))
    end
  end
end

describe("a quantized graph", function()
  it("is integers throughout, without seams; the float graph stays as it was", function()
    local g = net.model [[
      input x N,3,6,6
      const w 4,3,3,3
      const b 4
      Conv x w b -> c pads=1,1,1,1
      Relu c -> r
      MaxPool r -> m kernel_shape=2,2 strides=2,2
      Flatten m -> f
      const v 36,5
      Gemm f v -> y
      output y
    ]]
    local before = tostring(g)
    local t = calibrate(g, { granularity = "per-channel" })
    local q = assert(apply(g, t, 8, "per-channel"))
    assert.equal(before, tostring(g))
    assert.equal("float32", g:value("w").dtype)
    assert.equal("v1-channel", q.arithmetic)
    assert.equal(#g, #q)
    for node in q:nodes() do assert.equal("q", node.column) end
    for _, name in ipairs { "x", "c", "r", "m", "f", "y" } do
      local value = q:value(name)
      assert.same({ "int8", 8, { t:exponent(name) } }, { value.dtype, value.quant.bits, value.quant.exponents })
    end
    assert.same({ "int8", "int16" }, { q:value("w").dtype, q:value("b").dtype })
    assert.same({ bits = 8, exponents = t:get("w").exponents }, q:value("w").quant)
    assert.same({ bits = 16, exponents = t:get("b").exponents }, q:value("b").quant)
    assert.is_true(q:value("w").constant:equal(g:value("w").constant:quantize(t:get("w").exponents, 8, 0)))
    q = assert(apply(g, calibrate(g, { bits = "int16" }), 16))
    assert.same({ "int16", "int16", "int16", "int16" },
      { q:value("x").dtype, q:value("w").dtype, q:value("b").dtype, q:value("y").dtype })
    assert.equal("v1-tensor", q.arithmetic)
  end)

  it("has a form of its own of a weight and bias for every node that needs one", function()
    local g = net.model [[
      input x N,3,4,4
      const w 3,3,1,1
      const b 3
      Conv x w b -> c
      Conv c w b -> d
      Conv x w b -> e
      output c d e
    ]]
    runs_well(g)
    local t = calibrate(g, { granularity = "per-channel" })
    t:set("c", "activation", { -4 })
    local q = assert(apply(g, t, 8, "per-channel"))
    local c, d, e = q:node "Conv_c", q:node "Conv_d", q:node "Conv_e"
    assert.equal(c:input(2), d:input(2))
    assert.equal(c:input(3), e:input(3))
    assert.not_equal(c:input(3), d:input(3))
    assert.equal(c:input(3).quant.exponents[1] + 3, d:input(3).quant.exponents[1])
  end)

  it("of a constant that is a weight here and an operand there keeps both", function()
    runs_well(net.model [[
      input x N,3
      const w 3,3
      Gemm x w -> y
      Add w w -> v
      MatMul x w -> z
      Add y z -> s
      Add s w -> r
      output r
    ]], 10)
  end)

  it("turns LeakyRelu into PRelu and keeps the names, inside and as output of the graph", function()
    local g = net.model [[
      input x N,3,4,4
      const w 3,3,1,1
      Conv x w -> c
      LeakyRelu c -> l alpha=0.3
      Conv l w -> d
      LeakyRelu d -> y
      output l y
    ]]
    runs_well(g)
    local t = calibrate(g)
    local q = assert(apply(g, t))
    local first, last = q:node "LeakyRelu_l", q:node "LeakyRelu_y"
    assert.same({ "PRelu", "l", "PRelu", "y" },
      { first.op_type, first:output(1).name, last.op_type, last:output(1).name })
    assert.same({ 77 }, first:input(2).constant:totable())
    assert.same({ bits = 8, exponents = { -8 } }, first:input(2).quant)
    assert.same({ bits = 8, exponents = { t:exponent "y" } }, q.outputs[2].quant)
    assert.same({ "l", "y" }, { q.outputs[1].name, q.outputs[2].name })
  end)

  it("tells LeakyRelus apart whose nodes have no name, one name, or that of a tensor", function()
    for _, names in ipairs { { "", "", "" }, { "l", "l", "l" }, { "d", "w", "" } } do
      local g = net.model [[
        input x N,3,4,4
        const w_alpha 3,3,1,1
        Conv x w_alpha -> c
        LeakyRelu c -> dead alpha=0.001
        LeakyRelu c -> l alpha=0.9
        LeakyRelu l -> d alpha=0.01
        LeakyRelu l -> y alpha=0.3
        output d y
      ]]
      local at = 0
      for node in g:nodes() do
        if node.op_type == "LeakyRelu" and node:output(1).name ~= "dead" then at = at + 1 end
        node.name = node.op_type == "LeakyRelu" and (names[at] or "") or ""
      end
      local q, slopes = assert(apply(g, (calibrate(g)))), {}
      for node in q:nodes() do
        if node.op_type == "PRelu" then
          slopes[#slopes + 1] = node:input(2).constant[1] * 2.0 ^ node:input(2).quant.exponents[1]
        end
      end
      for i, alpha in ipairs { 0.9, 0.01, 0.3 } do assert.near(alpha, slopes[i], alpha / 128) end
    end
  end)

  it("quantizes the constants of Add, Sub, Mul, Max, Min, PRelu, Concat and Pad", function()
    runs_well(net.model([[
      input x N,2,4,4
      const w 2,2,1,1
      const a 2,1,1
      const m 1
      const s 2,1,1
      const k 1,2,4,1
      Conv x w -> c
      Add c a -> d
      Sub a d -> e
      Mul e m -> f
      Max f a -> g
      Min a g -> h
      PRelu h s -> p
      output p
    ]], { s = core.tensor_from({ 0.25, 0.5 }, "float32", { 2, 1, 1 }) }), 7)
    local g = net.model([[
      input x N,2,4,4
      ints pads 0,0,1,1,0,0,1,1
      const v
      const w 2,2,1,1
      Conv x w -> c
      Pad c pads v -> p mode=constant
      output p
    ]], { v = core.tensor_from({ 0.25 }, "float32", {}) })
    runs_well(g)
    local t = calibrate(g)
    assert.same({ 0.25 * 2.0 ^ -t:exponent "c" }, { apply(g, t):value("v").constant:item() + 0.0 })
    runs_well(net.model [[
      input x 1,2,4,4
      const w 2,2,1,1
      const k 1,2,4,4
      Conv x w -> c
      Concat c k -> y axis=1
      output y
    ]])
  end)

  it("gives a constant of two Concats the exponent of each", function()
    local g = net.model [[
      input x 1,2,4,4
      const w 2,2,1,1
      const k 1,1,4,4
      Conv x w -> c
      Add c c -> d
      Add d d -> e
      Concat c k -> y axis=1
      Concat e k -> z axis=1
      output y z
    ]]
    runs_well(g)
    local q = assert(apply(g, (calibrate(g))))
    assert.not_equal(q:node("Concat_y"):input(2), q:node("Concat_z"):input(2))
  end)

  it("runs with one output channel, and with MatMul, Unsqueeze, Identity, Dropout, Expand", function()
    runs_well(net.model "input x N,2,4,4\n const w 1,2,3,3\n const b 1\n Conv x w b -> y\n output y")
    runs_well(net.model [[
      input x N,6
      const w 6,4
      MatMul x w -> y
      Relu y -> r
      output r
    ]])
    runs_well(net.model([[
      input x 1,3
      const w 3,3
      const ratio
      ints axis 1
      ints shape 1,2,3
      Gemm x w -> y
      Identity y -> i
      Dropout i ratio -> d
      Unsqueeze d axis -> u
      Expand u shape -> z
      output z
    ]], { ratio = core.tensor_from({ 0.5 }, "float32", {}) }))
  end)

  it("ignores what no output needs", function()
    local g = net.model "input x N,3\n const w 3,3\n Gemm x w -> y\n Relu y -> dead\n output y"
    local t = calibrate(g)
    t.index.dead = nil
    local q = assert(apply(g, t))
    assert.equal(1, #q)
  end)

  it("verifies for every recorded case and configuration", function()
    local n = 0
    for _, name in ipairs(fixtures.CASES) do
      local case = fixtures.open(name)
      local model = assert(core.onnx_decode(case.bytes "model.onnx"))
      for _, c in ipairs(CONFIGS) do
        local calib = espquant.Calibrator { bits = c[1], granularity = c[2], log = quiet }
        local t = assert(calib:measure_table(model, case.tensor "calib.npy"))
        local q = assert(apply(model, t, c[3], c[2]))
        for node in q:nodes() do
          assert.equal("q", node.column)
          for _, value in ipairs(node.outputs) do assert.equal(c[1], value.dtype) end
        end
        n = n + 1
      end
    end
    assert.equal(90, n)
  end)
end)

describe("a table that does not fit", function()
  local function model()
    return net.model [[
      input x N,2,4,4
      const w 3,2,1,1
      const b 3
      Conv x w b -> c
      LeakyRelu c -> l alpha=0.5
      MaxPool l -> m kernel_shape=2,2
      const a 1
      Add m a -> y
      output y
    ]]
  end

  local function problems_of(t, granularity)
    local q, message, code, problems = apply(model(), t, 8, granularity)
    assert.same({ nil, "format", "the quantization table is not complete or of another model" }, { q, code, message })
    local causes = {}
    for i, p in ipairs(problems) do
      assert.matches("^%w+ '[%w_]+' %([^?]+ %-> [^?]+%): .+; calibrate", p.message)
      assert.is_truthy(p.node and p.op and p.output and p.remedy)
      causes[i] = p.cause
    end
    table.sort(causes)
    return causes
  end

  it("is refused with everything that is missing", function()
    local want = {}
    for i, name in ipairs { "LeakyRelu_l_alpha", "a", "c", "l", "m", "w", "x", "y" } do
      want[i] = ("the quantization parameter for %s is not provided"):format(name)
    end
    assert.same(want, problems_of(espquant.qtable.new {}))
  end)

  it("is refused for scales that no chip has", function()
    local t = calibrate(model())
    t:set("x", "input", { -math.huge })
    t:set("m", "activation", { 0 / 0 })
    t:set("a", "weight", { 1001 })
    t:set("y", "shape", {})
    t:set("w", "weight").scales = { 0.3 }
    t:set("c", "activation", { 1, 2 })
    local text = table.concat(problems_of(t), "\n")
    for _, line in ipairs {
      "tensor 'x' has the exponent -inf", "tensor 'm' has the exponent ", "constant 'a' has the exponent 1001",
      "the quantization parameter for y is not provided",
      "the scale of weight 'w' is no power of two, which the chip cannot do",
      "the table has 2 exponents for tensor 'c', expected one",
    } do
      assert.matches(line, text, 1, true)
    end
  end)

  it("is refused for another number of channels", function()
    local t = calibrate(model(), { granularity = "per-channel" })
    assert.same({ "the table has 3 exponents for weight 'w', expected 1 (per-tensor)" }, problems_of(t, "per-tensor"))
    t = calibrate(model())
    assert.same({ "the table has 1 exponents for weight 'w', expected 3 (per-channel)" }, problems_of(t, "per-channel"))
  end)

  it("is refused where an operator needs one scale", function()
    local t = calibrate(model())
    local e = t:exponent "m"
    t:set("m", "activation", { e + 1 })
    assert.same({ ("'m' has the exponent %d and 'l' %d, on the chip they are one"):format(e + 1, e) }, problems_of(t))
  end)
end)
