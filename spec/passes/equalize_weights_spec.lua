local core = require "espquant.core"
local dataset = require "espquant.dataset"
local gain = require "espquant.gain"
local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"
local weight_channels = require "espquant.weight_channels"

local SKEW = { 1, 1 / 64, 16, 1 / 9 }

-- A weight of that shape whose channels along `axis` (1-based) are of different size.
local function skewed(shape, seed, axis)
  local factors = {}
  for i = 1, #shape do factors[i] = 1 end
  factors[axis] = shape[axis]
  local list = {}
  for i = 1, shape[axis] do list[i] = SKEW[(i - 1) % #SKEW + 1] end
  return harness.random(shape, seed) * core.tensor_from(list, "float32", factors)
end

-- x [N,3,6,6] -> Conv to 4 channels -> between -> Conv; between(b, y, first) gives what the second reads.
local function build(between, o)
  o = o or {}
  return function(b)
    local first = { b.input("x", { 2, 3, 6, 6 }), b.constant("w1", skewed({ 4, 3, 3, 3 }, 5, 1)) }
    if not o.no_bias then first[3] = b.random("b1", { 4 }) end
    local y = b.node("Conv", first, { name = "first", attrs = { pads = { 1, 1, 1, 1 } } })
    y = between(b, y)
    b.output(o.last and o.last(b, y) or b.node("Conv", { y, b.random("w2", { 5, 4, 3, 3 }) }, { name = "last" }))
  end
end

local function of(op, attrs)
  return function(b, y) return b.node(op, { y }, { attrs = attrs }) end
end

local function clip(low, high)
  return function(b, y)
    local function bound(x) return b.constant("bound" .. x, core.tensor_from({ x }, "float32", {})) end
    return b.node("Clip", { y, low and bound(low) or false, high and bound(high) or nil })
  end
end

local function depthwise(b, y)
  y = b.node("Relu", { y })
  y = b.node("Conv", { y, b.constant("wd", skewed({ 4, 1, 3, 3 }, 9, 1)), b.random("bd", { 4 }) },
    { name = "depthwise", attrs = { group = 4 } })
  return b.node("Relu", { y })
end

-- No channel of the first layer is more than 2^1.5 from that of the last.
local function is_settled(graph)
  local first, last = graph:node "first", graph:node "last"
  local made, read = weight_channels.outputs(first):reach(), weight_channels.inputs(last):reach()
  local bias = first:input(3) and first:input(3).constant:totable()
  for i, r in ipairs(made) do
    r = bias and math.max(r, math.abs(bias[i])) or r
    assert.is_true(math.abs(math.log(r / read[i], 2)) < 1.5)
  end
end

local function fires(name, between, o, changes, settled)
  return { name, build = build(between, o), changes = changes or 1, exact = true,
    check = settled ~= false and is_settled or nil }
end
local function keeps(name, between, o) return { name, build = build(between, o), changes = 0, exact = true } end

local function gemm(turned)
  return function(b, y)
    y = b.node("Flatten", { b.node("MaxPool", { y }, { attrs = { kernel_shape = { 2, 2 }, strides = { 2, 2 } } }) })
    return b.node("Gemm", { y, b.random("w2", turned and { 3, 36 } or { 36, 3 }) },
      { name = "last", attrs = { transB = turned and 1 or 0 } })
  end
end

local function residual(b, y)
  local r = b.node("Relu", { y })
  local z = b.node("Conv", { r, b.constant("wr", skewed({ 4, 4, 1, 1 }, 3, 1)) }, { name = "inner" })
  return b.node("Add", { z, r })
end

harness.describe("equalize_weights", {
  fires("scales two Convs across a Relu", of "Relu"),
  fires("scales two Convs next to each other, without a bias", function(_, y) return y end, { no_bias = true }),
  fires("goes through LeakyRelu", of("LeakyRelu", { alpha = 0.1 })),
  fires("goes through a pool", of("AveragePool", { kernel_shape = { 2, 2 } })),
  fires("goes through a Clip from 0 on", clip(0)),
  fires("goes through PRelu with a slope per channel", function(b, y)
    return b.node("PRelu", { y, b.random("slope", { 4, 1, 1 }) })
  end),
  fires("scales both sides of a depthwise Conv", depthwise, nil, 2, false),
  fires("scales all that a sum ties together", residual, nil, 1, false),
  fires("scales the columns of a Gemm behind Flatten", of "Relu", { last = gemm(false) }, 1, false),
  fires("scales the rows of a Gemm with transB", of "Relu", { last = gemm(true) }, 1, false),
  fires("scales a ConvTranspose", of "Relu", { last = function(b, y)
    return b.node("ConvTranspose", { y, b.random("w2", { 4, 5, 2, 2 }) }, { name = "last" })
  end }),
  keeps("keeps a Relu6", clip(0, 6)),
  keeps("keeps a Clip from another number on", clip(-1)),
  keeps("keeps a Sigmoid", of "Sigmoid"),
  keeps("keeps what the graph returns", function(b, y)
    y = b.node("Relu", { y })
    b.output(y)
    return y
  end),
  keeps("keeps what something else reads", function(b, y)
    y = b.node("Relu", { y })
    b.output(b.node("Exp", { y }))
    return y
  end),
  keeps("keeps a sum with a constant", function(b, y)
    return b.node("Relu", { b.node("Add", { y, b.random("k", { 4, 1, 1 }) }) })
  end),
  keeps("keeps a weight that two nodes read", of "Relu", { last = function(b, y)
    local w = b.random("w2", { 5, 4, 3, 3 })
    b.output(b.node("Conv", { b.input("z", { 2, 4, 6, 6 }), w }))
    return b.node("Conv", { y, w })
  end }),
  keeps("keeps what float32 would not hold", function(b, y)
    b.graph:value("w1"):set_constant(core.tensor({ 4, 3, 3, 3 }):fill(1e-40))
    return b.node("Relu", { y })
  end, { no_bias = true, last = function(b, y)
    return b.node("Conv", { y, b.constant("w2", core.tensor({ 5, 4, 3, 3 }):fill(1e-44)) })
  end }),
})

describe("the gain of equalizing", function()
  it("is more than 6 dB where channels differ and share one scale", function()
    local b = harness.builder()
    build(of "Relu", { no_bias = true, last = function(c, y)
      local w = harness.random({ 5, 4, 3, 3 }, 8) * core.tensor_from({ 1, 64, 1 / 16, 9 }, "float32", { 1, 4, 1, 1 })
      return c.node("Conv", { y, c.constant("w2", w) }, { name = "last" })
    end })(b)
    local plain = optimizer.optimize(b.graph, { "nop" })
    local graph = optimizer.optimize(plain, { "equalize_weights" })
    local data, settings = assert(dataset.of(harness.random({ 2, 3, 6, 6 }, 77), plain)), { bits = "int8" }
    local before, after = gain.snr(plain, plain, data, settings), gain.snr(plain, graph, data, settings)
    assert.is_true(after - before > 6, ("%.1f dB, before %.1f dB"):format(after, before))
  end)
end)
