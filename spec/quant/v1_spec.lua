-- The policy of ESP-DL v1: small graphs and given measurements in, exponents out; rule by rule.

local core = require "espquant.core"
local v1 = require "espquant.quant.v1"
local net = require "spec.support.net"
local fixtures = require "spec.support.fixtures"
local espquant = require "espquant"

local ZERO, INF, NAN = -math.huge, math.huge, 0 / 0

-- The table of a model whose measured tensors have these exponents; also the names that were measured.
local function build(model, measured, options)
  local o = { bits = 8, granularity = "per-tensor", method = "minmax", mode = "original" }
  for key, value in pairs(options or {}) do o[key] = value end
  local names, by_range
  local t, message, code, problems = v1.build(model, o, function(wanted, ranges)
    names, by_range = wanted, ranges
    for _, name in ipairs(wanted) do assert(measured[name], "measured unexpectedly: " .. name) end
    return measured
  end)
  return t, names, message, code, problems, by_range
end

-- Asserts the exponents of some tensors.
local function expect(t, wanted)
  local got = {}
  for name in pairs(wanted) do
    local entry = t:get(name)
    got[name] = entry and (#entry.exponents == 1 and entry.exponents[1] or entry.exponents)
  end
  assert.same(wanted, got)
end

local CHIP = { mode = "chip" }

-- Operators of one scale, or of aligned ones: on the chip the coarsest exponent counts. Averages have their own.
local DIFFERS_ON_CHIP = { Concat = true, Max = true, Min = true, GlobalAveragePool = true }

describe("S1: inputs and measured tensors", function()
  it("inputs have the fixed exponent, or the one given, or are measured", function()
    local g = net.model "input x N,2,4,4\n const w 3,2,1,1\n Conv x w -> c\n output c"
    expect(build(g, { c = -3 }), { x = -7, c = -3 })
    expect(build(g, { c = -3 }, { bits = 16 }), { x = -15 })
    expect(build(g, { c = -3 }, { input_exponent = -5, mode = "chip" }), { x = -5 })
    local t, names = build(g, { c = -3, x = -4 }, { input_exponent = "measured", mode = "chip" })
    expect(t, { x = -4, c = -3 })
    assert.same({ "x", "c" }, names)
    assert.equal("input", t:get("x").kind)
    for _, mode in ipairs { "chip", "original" } do
      local two = net.model "input x N,2\n input y N,2\n Add x y -> s\n output s"
      expect(build(two, { s = -3, y = -2 }, { input_exponent = { x = -5, y = "measured" }, mode = mode }),
        { x = -5, y = -2 })
      expect(build(two, { s = -3 }, { input_exponent = { y = -4 }, mode = mode }), { x = -7, y = -4 })
      local none, _, message, code, problems = build(two, {}, {
        input_exponent = { z = 0, w = "measured" }, mode = mode,
      })
      assert.same({ nil, "input_exponent names what is no input", "format",
        { "input_exponent: the model has no input 'w'", "input_exponent: the model has no input 'z'" } },
        { none, message, code, problems })
    end
  end)

  it("a node whose only reader is an activation is not measured, its activation is", function()
    local g = net.model [[
      input x N,2,4,4
      const w 2,2,1,1
      Conv x w -> c
      Relu c -> r
      Conv r w -> d
      Relu d -> s
      Add d s -> e
      Add e e -> f
      output f
    ]]
    local t, names = build(g, { r = -3, d = -2, s = -4, e = -1, f = 0 })
    assert.same({ "r", "d", "s", "e", "f" }, names)
    expect(t, { c = -3, r = -3, d = -4, s = -4, e = -1, f = 0 })
  end)

  it("a graph output is no reader, two activations on one tensor are two", function()
    local g = net.model "input x N,2,4,4\n const w 2,2,1,1\n Conv x w -> c\n Relu c -> r\n output c r"
    local t, names = build(g, { r = -5 })
    assert.same({ "r" }, names)
    expect(t, { c = -5, r = -5 })
    g = net.model [[
      input x N,2,4,4
      const w 2,2,1,1
      Conv x w -> c
      Relu c -> r
      LeakyRelu c -> l alpha=0.25
      output r l
    ]]
    t, names = build(g, { c = -3, r = -5, l = -4 })
    assert.same({ "c", "r", "l" }, names)
    expect(t, { c = -4, r = -5, l = -4 }) -- the last activation wins
    expect(build(g, { c = -3, r = -5, l = -4 }, CHIP), { c = -4, r = -4, l = -4 })
  end)

  it("an activation that feeds an activation takes over the exponent of the last", function()
    local g = net.model [[
      input x N,2,4,4
      const w 2,2,1,1
      Conv x w -> c
      LeakyRelu c -> l alpha=0.25
      Relu l -> r
      output r
    ]]
    local t, names = build(g, { r = -6 })
    assert.same({ "r" }, names)
    expect(t, { c = -6, l = -6, r = -6 })
  end)
end)

describe("S2: Concat", function()
  local TWO = [[
    input x N,2,4,4
    const w 2,2,1,1
    const v 2,2,1,1
    Conv x w -> a
    Conv x v -> b
  ]]

  it("its inputs get the coarsest exponent, as does what they pass through", function()
    local g = net.model(TWO .. "MaxPool a -> m kernel_shape=1,1\n Concat m b -> k axis=1\n output k")
    expect(build(g, { a = -5, b = -3 }), { a = -3, m = -3, b = -3, k = -3 })
    expect(build(g, { a = -2, b = -3 }), { a = -2, m = -2, b = -2, k = -2 })
  end)

  it("nested ones follow their first input only: the second keeps its own", function()
    local g = net.model(TWO .. [[
      const u 2,2,1,1
      Conv x u -> c
      Concat a b -> k axis=1
      Concat k c -> n axis=1
      output n
    ]])
    expect(build(g, { a = -5, b = -6, c = -2 }), { a = -2, b = -5, c = -2, k = -2, n = -2 })
    expect(build(g, { a = -5, b = -6, c = -2 }, CHIP), { a = -2, b = -2, c = -2, k = -2, n = -2 })
  end)

  it("a tensor of two keeps what the later wrote; the chip needs a fixed point", function()
    local g = net.model(TWO .. [[
      const u 2,2,1,1
      Conv x u -> c
      Concat a b -> k axis=1
      Concat b c -> n axis=1
      output k n
    ]])
    expect(build(g, { a = -6, b = -5, c = -2 }), { a = -5, b = -2, c = -2, k = -5, n = -2 })
    expect(build(g, { a = -6, b = -5, c = -2 }, CHIP), { a = -2, b = -2, c = -2, k = -2, n = -2 })
  end)

  it("the graph's input takes part", function()
    local g = net.model(TWO .. "Concat x a -> k axis=1\n output k b")
    expect(build(g, { a = -3, b = -4 }), { x = -3, a = -3, k = -3, b = -4 })
  end)
end)

describe("S3: activations", function()
  local function after(op)
    return net.model("input x N,2,4,4\n const w 2,2,1,1\n ints s 0,-1\n Conv x w -> c\n " .. op
      .. "\n Relu p -> r\n output r")
  end

  it("lift their exponent above what only moves", function()
    for _, op in ipairs {
      "MaxPool c -> p kernel_shape=2,2", "Flatten c -> p", "Transpose c -> p perm=0,1,3,2", "GlobalAveragePool c -> p",
    } do
      expect(build(after(op), { c = -2, p = -3, r = -5 }), { c = -5, p = -5, r = -5 })
    end
  end)

  it("stop at Reshape, GlobalMaxPool, AveragePool and other arithmetic", function()
    for _, op in ipairs {
      "Reshape c s -> p", "GlobalMaxPool c -> p", "AveragePool c -> p kernel_shape=2,2", "Add c c -> p",
      "Conv c w -> p",
    } do
      expect(build(after(op), { c = -2, p = -3, r = -5 }), { c = -2, p = -5, r = -5 })
    end
  end)

  it("lift over a graph input that comes through MaxPool", function()
    local g = net.model "input x N,2,4,4\n MaxPool x -> m kernel_shape=2,2\n Relu m -> r\n output r"
    expect(build(g, { r = -3 }), { x = -3, m = -3, r = -3 })
  end)

  it("lift all inputs of a Concat just before, but of one on the way only the first", function()
    local text = [[
      input x N,2,4,4
      const w 2,2,1,1
      const v 2,2,1,1
      Conv x w -> a
      Conv x v -> b
      Concat a b -> k axis=1
    ]]
    local g = net.model(text .. "Relu k -> r\n output r")
    expect(build(g, { a = -5, b = -3, r = -6 }), { a = -6, b = -6, k = -6, r = -6 })
    g = net.model(text .. "MaxPool k -> m kernel_shape=2,2\n Relu m -> r\n output r")
    expect(build(g, { a = -5, b = -3, r = -6 }), { a = -6, b = -3, k = -6, m = -6, r = -6 })
    expect(build(g, { a = -5, b = -3, r = -6 }, CHIP), { a = -3, b = -3, k = -3, m = -3, r = -3 })
  end)
end)

describe("S4: the rest", function()
  it("follows input 0, and GlobalAveragePool overrides its own measurement", function()
    local g = net.model [[
      input x N,2,4,4
      const w 2,2,1,1
      Conv x w -> c
      MaxPool x -> m kernel_shape=1,1
      Max c m -> a
      Min m c -> b
      GlobalAveragePool c -> p
      Flatten p -> f
      output a b f
    ]]
    expect(build(g, { c = -3, p = -6 }), { m = -7, a = -3, b = -7, p = -3, f = -3 })
    expect(build(g, { c = -3, p = -6 }, CHIP), { m = -7, a = -3, b = -3, p = -6, f = -6 }) -- nothing is cut off
  end)

  it("on the chip a global average, or the activation after it, goes by its range and passes nothing on", function()
    local g = net.model [[
      input x N,2,4,4
      const w 2,2,1,1
      Conv x w -> c
      GlobalAveragePool c -> p
      Relu p -> r
      GlobalAveragePool c -> q
      Conv c w -> d
      MaxPool d -> m kernel_shape=4,4
      Concat q m -> k axis=1
      output r q
    ]]
    local measured = { c = -3, r = -6, q = -6, d = -4 }
    local t, _, _, _, _, by_range = build(g, measured, CHIP)
    expect(t, { c = -3, p = -6, r = -6, q = -4, d = -4, k = -4 })
    assert.same({ r = true, q = true }, by_range)
    t, _, _, _, _, by_range = build(g, measured)
    expect(t, { c = -6, p = -6, r = -6, q = -6 })
    assert.same({}, by_range)
  end)

  it("a Shape is the text ShapeInfo", function()
    local g = net.model "input x N,2,4,4\n const w 2,2,1,1\n Conv x w -> c\n Shape c -> s\n output c s"
    local t = build(g, { c = -3 })
    assert.equal("shape", t:get("s").kind)
    assert.same({}, t:get("s").exponents)
  end)

  it("the order of entries is that of the steps", function()
    local g = net.model [[
      input x N,2,4,4
      const w 2,2,1,1
      const b 2
      const s 2,1,1
      Conv x w b -> c
      PRelu c s -> r
      MaxPool r -> m kernel_shape=2,2
      LeakyRelu m -> l alpha=0.1
      output l
    ]]
    local t, names = build(g, { r = -3, l = -4 })
    for i, entry in ipairs(t.entries) do names[i] = entry.name end
    assert.same({ "x", "r", "l", "c", "m", "w", "b", "s", "LeakyRelu_l_alpha" }, names)
    expect(t, { c = -4, r = -4, m = -4, l = -4 }) -- an activation on the way up is passed as well
    assert.same({ "alpha", "alpha" }, { t:get("s").kind, t:get("LeakyRelu_l_alpha").kind })
    assert.equal(-10, t:exponent "LeakyRelu_l_alpha")
  end)
end)

describe("S5: parameters", function()
  local TEXT = [[
    input x N,2,4,4
    const w 3,2,1,1
    const b 3
    Conv x w b -> c
    Conv x w b -> d
    output c d
  ]]
  local W = core.tensor_from({ 0.5, -0.25, 0, 0, 127 / 128, 0.1 }, "float32", { 3, 2, 1, 1 })

  it("per tensor: the weight's largest value, the bias like the output of its last node", function()
    expect(build(net.model(TEXT, { w = W }), { c = -3, d = -4 }), { w = -7, b = -4 })
    expect(build(net.model(TEXT, { w = W }), { c = -3, d = -4 }, { bits = 16 }), { w = -15, b = -4 })
  end)

  it("per channel: one each, -15 for a channel of zeros, the bias input + weight + 4", function()
    local t = build(net.model(TEXT, { w = W }), { c = -3, d = -4 }, { granularity = "per-channel" })
    expect(t, { w = { -7, -15, -7 }, b = { -10, -18, -10 } })
  end)

  it("Gemm's channels lie where transB says, MatMul's last", function()
    local w = core.tensor_from({ 1, 2, 4, 8, 16, 32 }, "float32", { 2, 3 })
    local CHANNELS = { granularity = "per-channel" }
    local g = net.model("input x N,2\n const w 2,3\n Gemm x w -> y\n output y", { w = w })
    expect(build(g, { y = 0 }, CHANNELS), { w = { -3, -2, -1 } })
    g = net.model("input x N,3\n const w 2,3\n Gemm x w -> y transB=1\n output y", { w = w })
    expect(build(g, { y = 0 }, CHANNELS), { w = { -4, -1 } })
    g = net.model("input x N,2\n const w 2,3\n MatMul x w -> y\n output y", { w = w })
    expect(build(g, { y = 0 }, { granularity = "per-channel", mode = "chip" }), { w = { -3, -2, -1 }, y = 0 })
  end)

  it("of a LeakyRelu without alpha only the chip has a slope", function()
    local g = net.model "input x N,2\n const w 2,3\n Gemm x w -> y\n LeakyRelu y -> l\n output l"
    assert.is_nil(build(g, { l = 0 }):get "LeakyRelu_l_alpha")
    expect(build(g, { l = 0 }, CHIP), { LeakyRelu_l_alpha = -13 })
  end)

  it("constant operands have entries in chip mode only, but not those that share the output's scale", function()
    local g = net.model([[
      input x N,2
      const w 2,2
      const a 2
      const m 2
      const k 1,2
      Gemm x w -> y
      Add y a -> p
      Mul m p -> q
      Concat q k -> r axis=0
      output r
    ]], { a = core.tensor_from({ 3, -1 }, "float32"), m = core.tensor_from({ 0.25, 0.5 }, "float32") })
    local measured = { y = -3, p = -3, q = -2 }
    expect(build(g, measured, CHIP), { a = -5, m = -7, r = -2 })
    assert.is_nil(build(g, measured, CHIP):get "k")
    assert.is_nil(build(g, measured):get "a")
  end)
end)

describe("chip mode", function()
  it("gives zero tensors a usable exponent, and warns of each", function()
    local g = net.model([[
      input x N,2
      const w 2,2
      const v 2,2
      Gemm x w -> y
      Gemm y v -> z
      Relu z -> r
      output r
    ]], { v = core.tensor { 2, 2 } })
    local t = build(g, { y = -3, r = ZERO }, CHIP)
    expect(t, { z = -7, r = -7, v = -15 })
    table.sort(t.warnings)
    assert.same({ "'r' is all zero; its exponent is set to -7", "'v' is all zero; its exponent is set to -15",
      "'z' is all zero; its exponent is set to -7" }, t.warnings)
    expect(build(g, { y = -3, r = ZERO }), { z = ZERO, r = ZERO, v = ZERO })
    assert.same({}, build(g, { y = -3, r = ZERO }).warnings)
  end)

  it("a zero tensor takes the exponent of those it shares one with", function()
    local g = net.model [[
      input x N,2
      const w 2,2
      const v 2,2
      Gemm x w -> y
      Gemm x v -> z
      Concat y z -> r axis=1
      output r
    ]]
    local t = build(g, { y = -3, z = ZERO }, CHIP)
    expect(t, { y = -3, z = -3, r = -3 })
    assert.same({}, t.warnings)
  end)

  it("names all tensors that hold NaN or infinity, and comes to an end", function()
    local g = net.model [[
      input x N,2
      const w 2,2
      Gemm x w -> y
      Relu y -> r
      Gemm r w -> z
      Flatten z -> f
      output f
    ]]
    local t, _, message, code, problems = build(g, { r = NAN, z = INF }, CHIP)
    assert.same({ nil, "format" }, { t, code })
    assert.matches("4 tensors", message)
    table.sort(problems)
    assert.same({ "activation 'f' holds NaN or infinity", "activation 'r' holds NaN or infinity",
      "activation 'y' holds NaN or infinity", "activation 'z' holds NaN or infinity" }, problems)
    assert.is_table(build(g, { r = NAN, z = INF }))
  end)

  it("has one exponent in every node that moves integers, on every recorded case", function()
    local nodes, changed, unchanged = 0, 0, 0
    for _, name in ipairs(fixtures.CASES) do
      local case = fixtures.open(name)
      local model, may_differ, has_average = assert(core.onnx_decode(case.bytes "model.onnx")), false, false
      local function table_in(mode)
        local calib = espquant.Calibrator { bits = "int8", mode = mode, log = function() end }
        return assert(calib:measure_table(model, case.tensor "calib.npy"))
      end
      local chip, original, same = table_in "chip", table_in "original", true
      for node in model:nodes() do
        may_differ = may_differ or DIFFERS_ON_CHIP[node.op_type]
        has_average = has_average or node.op_type == "GlobalAveragePool"
        local values = v1.one_scale(node) or {}
        for _, value in ipairs(values) do
          assert.equal(chip:exponent(values[1].name), chip:exponent(value.name), node:label())
        end
        nodes = nodes + (#values > 0 and 1 or 0)
      end
      for _, entry in ipairs(original.entries) do
        local other = chip:get(entry.name)
        for k, e in ipairs(entry.exponents) do
          same = same and (other.exponents[k] == e or e == ZERO)
          local may_be_finer = has_average or entry.kind == "weight" or entry.kind == "alpha"
          assert.is_true(may_be_finer or other.exponents[k] >= e, entry.name)
        end
      end
      if same then unchanged = unchanged + 1 else changed = changed + 1 end
      if not may_differ then assert.is_true(same, name) end
    end
    print(("\nchip mode: %d nodes of one scale; tables of %d cases as in the original, %d not"):format(nodes,
      unchanged, changed))
    assert.is_true(nodes > 50)
  end)
end)

describe("a measurement that fails", function()
  it("is passed on", function()
    local g = net.model "input x N,2\n const w 2,2\n Gemm x w -> y\n output y"
    local t, message, code, problems = v1.build(g, { bits = 8, mode = "chip" }, function()
      return nil, "no data", "io", { "a" }
    end)
    assert.same({ nil, "no data", "io", { "a" } }, { t, message, code, problems })
  end)
end)
