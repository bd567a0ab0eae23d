-- Which tensors share exponents in ESP-DL v3: small graphs, whose measured exponents the spec makes up.
local core = require "espquant.core"
local net = require "spec.support.net"
local policy = require "espquant.quant.v3.policy"

-- A table of the model text; every measured tensor has the exponent of `exponents`, or one of its own. Returns the
-- table, and the roots as "name:bits" in order.
local function build(text, options, exponents, absmax)
  local names = {}
  local o = { bits = 8, target = "esp32s3" }
  for key, value in pairs(options or {}) do o[key] = value end
  local t, message = policy.build(net.model(text), o, function(_, roots, extra)
    local found = {}
    for i, root in ipairs(roots) do
      names[i] = ("%s:%d"):format(root.value.name, root.bits)
      root.exponent = (exponents or {})[names[i]] or (exponents or {})[root.value.name] or -i
    end
    for _, name in ipairs(extra) do found[name] = (absmax or {})[name] or 1 end
    return found
  end)
  return t, t and table.concat(names, " ") or message
end

local CONV = [[
  input x 1,4,8,8
  const w 4,4,1,1
  const b 4
]]

-- Text behind CONV, made-up exponents, the roots, and the table's exponents.
local CASES = {
  ["a computing node and its only Relu share the Relu's"] = {
    "Conv x w b -> c\nRelu c -> r\noutput r", {}, "x:8 r:8", { x = -1, c = -2, r = -2 } },
  ["so does Clip, with bounds at its input's"] = {
    "const lo\nconst hi\nConv x w b -> c\nClip c lo hi -> r\noutput r", {}, "x:8 r:8",
    { c = -2, r = -2, lo = -2, hi = -2 } },
  ["not a Relu that is not the only consumer, nor one behind a graph output"] = {
    "Conv x w b -> c\nRelu c -> r\nSigmoid c -> s\noutput r\noutput s", {}, "x:8 c:8 r:8 s:8",
    { c = -2, r = -3, s = -4 } },
  ["a passive node passes on its input's"] = {
    "Conv x w b -> c\nMaxPool c -> p kernel_shape=2,2 strides=2,2\nTranspose p -> t perm=0,2,3,1\noutput t", {},
    "x:8 c:8", { c = -2, p = -2, t = -2 } },
  ["of a graph input, too"] = {
    "MaxPool x -> p kernel_shape=2,2 strides=2,2\nSigmoid p -> s\noutput s", {}, "x:8 s:8",
    { x = -1, p = -1, s = -2 } },
  ["a Relu behind a passive node draws its output along, not its producer"] = {
    "Conv x w b -> c\nMaxPool c -> p kernel_shape=2,2 strides=2,2\nRelu p -> r\noutput r", {}, "x:8 c:8 r:8",
    { c = -2, p = -3, r = -3 } },
  ["and of two passive nodes the last one only"] = {
    "Conv x w b -> c\nMaxPool c -> p kernel_shape=2,2\nMaxPool p -> q kernel_shape=2,2\nRelu q -> r\noutput r", {},
    "x:8 c:8 r:8", { c = -2, p = -2, q = -3, r = -3 } },
  ["Add takes its output's from producers that nothing else reads"] = {
    "Conv x w b -> c\nSigmoid x -> s\nAdd c s -> a\nRelu a -> r\noutput r", {}, "x:8 c:8 s:8 r:8",
    { x = -1, c = -4, s = -4, a = -4, r = -4 } },
  ["not from those that something else reads, nor from passive ones"] = {
    "Conv x w b -> c\nSigmoid c -> s\nMaxPool s -> p kernel_shape=1,1\nAdd c p -> a\noutput a", {}, "x:8 c:8 s:8 a:8",
    { c = -2, s = -3, p = -3, a = -4 } },
  ["a tensor added to itself counts twice"] = {
    "Sigmoid x -> s\nAdd s s -> a\noutput a", {}, "x:8 s:8 a:8", { s = -2, a = -3 } },
  ["a graph output is no consumer"] = {
    "Sigmoid x -> s\nTanh x -> t\nAdd s t -> a\noutput s\noutput a", {}, "x:8 s:8 t:8 a:8",
    { s = -4, t = -4, a = -4 } },
  ["chains of Adds and Concats share one"] = {
    "Sigmoid x -> s\nTanh x -> t\nElu x -> e\nAdd s t -> a\nConcat a e -> c axis=1\noutput c", {},
    "x:8 s:8 t:8 e:8 a:8 c:8",
    { s = -6, t = -6, e = -6, a = -6, c = -6 } },
  ["a graph input is a producer"] = {
    "const k 1,4,8,8\nAdd x k -> a\noutput a", {}, "x:8 a:8", { x = -2, a = -2, k = -2 } },
  ["one that other nodes read keeps its own"] = {
    "Sigmoid x -> s\nAdd x s -> a\noutput a", {}, "x:8 s:8 a:8", { x = -1, s = -3, a = -3 } },
  ["Mul and AveragePool have exponents of their own"] = {
    "Sigmoid x -> s\nMul x s -> m\nAveragePool m -> p kernel_shape=2,2\noutput p", { m = 0, p = -9 }, "x:8 s:8 m:8 p:8",
    { x = -1, s = -2, m = 0, p = -9 } },
  ["comparisons take the coarsest, constants too"] = {
    "const k 1,4,8,8\nSigmoid x -> s\nTanh x -> t\nGreater s t -> g\nLess x k -> l\noutput g\noutput l",
    { s = -5, t = -3, x = -9 }, "x:8 s:8 t:8", { s = -3, t = -3, k = -8, x = -9 } },
  ["products shift to the right only"] = {
    "Sigmoid x -> s\nTanh x -> t\nMul s t -> m\nRelu m -> r\noutput r", { s = -2, t = -3, r = -7 }, "x:8 s:8 t:8 r:8",
    { s = -2, t = -3, m = -5, r = -5 }, "the chip shifts to the right only: the output has a coarser exponent than it "
      .. "was measured to need: Mul 'Mul_m'" },
}

local LSTM = [[
  input x 5,1,4
  const w 1,24,4
  const r 1,24,6
  const b 1,48
  const h 1,1,6
  const c 1,1,6
  LSTM x w r b - h c -> y yh yc hidden_size=6
  Sigmoid yc -> s
  output y
  output yh
  output s
]]

local function exponents_of(t, wanted)
  local got = {}
  for name in pairs(wanted) do got[name] = t:exponent(name) end
  return got
end

describe("exponents of ESP-DL v3 are shared:", function()
  for name, case in pairs(CASES) do
    it(name, function()
      local t, roots = build(CONV .. case[1], nil, case[2])
      assert.is_truthy(t, roots)
      assert.equal(case[3], roots)
      assert.same(case[4], exponents_of(t, case[4]))
      assert.same({ case[5] }, t.warnings)
    end)
  end

  it("GRU and LSTM keep bias and cell at int16, and one exponent of the hidden state", function()
    local t, roots = build(LSTM)
    assert.equal("x:8 y:8 yh:8 yc:8 s:8", roots)
    assert.same({ y = -2, yh = -2, h = -2, c = -9, b = -9, yc = -9, s = -5 },
      exponents_of(t, { y = 0, yh = 0, h = 0, c = 0, b = 0, yc = 0, s = 0 }))
    assert.same({ 16, 16, { [8] = -4 } }, { t:get("b").bits, t:get("yc").bits, t:get("yc").seams })
  end)

  it("biases and weights follow", function()
    local t = assert(build(CONV .. "Conv x w b -> c\noutput c", nil, { x = -3 }))
    assert.equal(t:exponent "w" - 3, t:exponent "b")
    assert.equal(20, t:get("b").bits)
    t = assert(build(CONV .. "Conv x w b -> c\noutput c", { target = "esp32p4" }, { x = -3 }))
    assert.same({ 4, 4, 32 }, { #t:get("w").exponents, #t:get("b").exponents, t:get("b").bits })
    for i, e in ipairs(t:get("w").exponents) do assert.equal(e - 3, t:get("b").exponents[i]) end
    t = assert(build(CONV .. "Conv x w b -> c\noutput c", { bits = 16, target = "c" }, { x = -3 }))
    assert.same({ 16, 64 }, { t:get("w").bits, t:get("b").bits })
  end)
end)

describe("limits of ESP-DL v3", function()
  it("make a weight coarser whose bias does not fit the chip's bits", function()
    local values = { b = core.tensor_from({ 1e4, 0, 0, 0 }, "float32") }
    local graph = net.model(CONV .. "Conv x w b -> c\noutput c", values)
    for target, coarse in pairs { esp32s3 = true, c = false, esp32p4 = false } do
      local t = assert(policy.build(graph, { bits = 8, target = target }, function(_, roots)
        for _, root in ipairs(roots) do root.exponent = -3 end
        return {}
      end))
      local e = t:exponent "b"
      assert.is_true(1e4 / 2.0 ^ e < 2.0 ^ (t:get("b").bits - 1))
      assert.equal(coarse, t.warnings[1] ~= nil and t.warnings[1]:find "the bias does not fit" ~= nil, target)
    end
  end)

  it("tell of sums beyond the ESP32-S3's lanes", function()
    local text = CONV .. "Conv x w b -> c\noutput c"
    local t = assert(build(text, { target = "esp32s3" }, { x = -3, c = -3 }, { c = 1000 }))
    assert.matches("sums go beyond the 20 bits .* Conv 'Conv_c' %(%d+%)", t.warnings[1])
    assert.same({}, build(text, { target = "esp32p4" }, { x = -3, c = -3 }, { c = 1000 }).warnings)
    -- an output of 2^7 * 2^4, of sums that the lanes cut off at 2^19 * 2^-10: the weight takes two bits less
    local w = t:exponent "w"
    t = assert(build(text, { target = "esp32s3" }, { x = -3, c = w - 3 + 14 }, { c = 2.0 ^ (w - 3 + 21) * 0.99 }))
    assert.same({ w + 2, w - 1 }, { t:exponent "w", t:exponent "b" })
    assert.matches("hold less than the output: the weight has a coarser exponent: Conv 'Conv_c'", t.warnings[1])
    assert.equal(1, #t.warnings)
  end)

  it("refuse exponents that no kernel holds, NaN and infinities, all at once", function()
    local text = CONV .. "Sigmoid x -> s\noutput s"
    local t, message = build(text, nil, { x = 31, s = 0 })
    assert.is_nil(t)
    assert.matches("'x' needs the exponent 31, the chip's kernels hold 30 at most", message)
    t, message = build(text, nil, { x = 0 / 0, s = math.huge })
    assert.is_nil(t)
    assert.equal("2 tensors cannot be quantized", message)
  end)
end)

describe("widths of layers", function()
  local TEXT = CONV .. "const v 4,4,1,1\nConv x w b -> c\nRelu c -> r\nConv r v -> d\nAdd r d -> a\n"
    .. "Softmax a -> y\noutput y"

  local function layers(t)
    local list = {}
    for name, width in pairs(t.facts.layers or {}) do list[#list + 1] = name .. "=" .. width end
    table.sort(list)
    return table.concat(list, " ")
  end

  it("make seams between them", function()
    local t, roots = build(TEXT, { layers = { Conv_c = "int16" } })
    assert.equal("x:16 r:16 r:8 d:8 a:8", roots)
    assert.equal("Conv_c=int16 Relu_r=int16", layers(t)) -- what is fused has one width
    assert.same({ [8] = t:get("r").seams[8] }, t:get("r").seams)
    assert.equal(16, t:get("r").bits)
    assert.equal(t:exponent "a", t:exponent "d") -- aligned; r, of another width, is not
    assert.is_true(t:exponent "r" ~= t:exponent "a")
  end)

  it("come by patterns, names before patterns, longer ones first", function()
    local t = assert(build(TEXT, { layers = { ["*"] = "int16", ["Conv_*"] = "int8", d = "int16" } }))
    assert.equal("Add_a=int16 Conv_d=int16 Softmax_y=int16", layers(t):gsub("Conv_c=%S+ ", ""):gsub(" Relu_r=%S+", ""))
    t = assert(build(TEXT, { layers = { ["Conv_?"] = { observer = "mse", bits = "int16" } } }))
    assert.equal("Conv_c=int16 Conv_d=int16 Relu_r=int16", layers(t))
    local _, message = build(TEXT, { layers = { Conv_e = "int16" } })
    assert.matches("no node and no tensor of the model is called 'Conv_e'", message)
  end)

  it("may be float, where the runtime has such a kernel", function()
    local t, roots = build(TEXT, { layers = { Add_a = "float" } })
    assert.equal("x:8 r:8 d:8 a:8", roots)
    assert.same({ "float", {}, { [8] = -4 } }, { t:get("a").kind, t:get("a").exponents, t:get("a").seams })
    assert.equal("Add_a=float", layers(t))
    local _, message = build(TEXT, { layers = { Conv_d = "float" } })
    assert.matches("Conv 'Conv_d': ESP%-DL has no float Conv; choose int8 or int16", message)
  end)

  it("have observers of their own", function()
    local seen = {}
    local options = { bits = 8, target = "esp32s3", observer = "mse", layers = {
      Conv_c = { observer = "minmax" }, ["Conv_d"] = { bits = "int16" }, Add_a = { observer = "percentile" },
    } }
    assert(policy.build(net.model(TEXT), options, function(_, roots)
      for i, root in ipairs(roots) do
        seen[i], root.exponent = ("%s:%d %s"):format(root.value.name, root.bits, root.observer), -i
      end
      return {}
    end))
    -- an input's and a fused layer's is that of the layer that reads or makes it
    assert.same({ "x:8 minmax", "r:8 minmax", "r:16 mse", "d:16 mse", "a:8 percentile" }, seen)
  end)
end)
