-- What "chip" mode computes, against an evaluation element by element in Lua (spec/support/naive.lua): every operator
-- whose arithmetic is our own definition, and those that only move integers. Random integers and both ends of the
-- range; exponents that shift left, right, and everything out; ties in constants; both widths, and per channel.
local core = require "espquant.core"
local coefficients = require "spec.support.coefficients"
local espquant = require "espquant"
local naive = require "spec.support.naive"
local net = require "spec.support.net"
local qtable = require "espquant.qtable"

local CONFIGS = { { "int8", "per-tensor", 8 }, { "int8", "per-channel", 8 }, { "int16", "per-tensor", 16 } }
local ROUNDS = 12

-- Inputs, then nodes; `free`: tensors whose exponents are drawn, all others have that of the node's first input.
local CASES = {
  { "Sub", "input a 2,3,4,5\n input b 2,3,4,5\n Sub a b -> y", "a b y" },
  { "Sub of channels", "input a 2,3,4,5\n input b 2,3,1,1\n Sub a b -> y\n Sub b a -> z", "a b y z" },
  { "Sub of rows", "input a 3,5\n input b 5\n Sub a b -> y\n Sub b a -> z", "a b y z" },
  { "Sub of constants", "input a 2,3,4,5\n const k 3,1,1\n const r 5\n Sub a k -> y\n Sub r a -> z", "a k r y z" },
  { "Mul", "input a 2,3,4,5\n input b 2,3,4,5\n Mul a b -> y\n Mul a a -> z", "a b y z" },
  { "Mul of channels", "input a 2,3,4,5\n input b 2,3,1,1\n Mul a b -> y\n Mul b a -> z", "a b y z" },
  { "Mul of constants", "input a 2,3,4,5\n const k 3,1,1\n const s\n Mul a k -> y\n Mul s y -> z", "a k s y z" },
  { "Max", "input a 2,3,4\n input b 2,3,4\n input c 3,1\n Max a b c -> y\n Max a -> z", "a b c y z" },
  { "Min", "input a 2,3,4\n input b 2,3,4\n input c 3,1\n Min a b c -> y\n Min b a -> z", "a b c y z" },
  { "Max, Min of constants", "input a 2,3,4,5\n const k 3,1,1\n const r 5\n Max a k -> y\n Min r a -> z", "a k r y z" },
  { "Add", "input a 2,3,4,5\n input b 2,3,4,5\n Add a b -> y", "a b y" },
  { "Add of constants", "input a 2,3,4,5\n const k 3,1,1\n const r 5\n Add a k -> y\n Add r a -> z", "a k r y z" },
  { "a tensor that two Adds rescale",
    "input a 2,3,4\n input b 2,3,4\n input c 2,3,4\n Add a b -> y\n Add c b -> z\n Add z b -> q", "a b c y z q" },
  { "AveragePool", "input a 2,3,7,6\n AveragePool a -> y kernel_shape=3,2 strides=2,2", "a y" },
  { "AveragePool with pads", "input a 2,3,7,6\n AveragePool a -> y kernel_shape=3,3 strides=2,2 pads=1,0,2,1", "a y" },
  { "AveragePool that counts pads",
    "input a 2,3,7,6\n AveragePool a -> y kernel_shape=3,3 strides=2,2 pads=1,0,2,1 count_include_pad=1", "a y" },
  { "AveragePool, ceil_mode",
    "input a 2,3,7,6\n AveragePool a -> y kernel_shape=2,3 strides=3,2 ceil_mode=1 pads=0,1,1,0", "a y" },
  { "AveragePool, ceil_mode, that counts pads",
    "input a 2,3,7,6\n AveragePool a -> y kernel_shape=2,3 strides=3,2 ceil_mode=1 pads=0,1,1,0 count_include_pad=1",
    "a y" },
  { "GlobalAveragePool", "input a 2,17,7,6\n GlobalAveragePool a -> y", "a y" },
  { "MaxPool", "input a 2,3,7,6\n MaxPool a -> y kernel_shape=3,2 strides=2,2 pads=1,0,1,1\n GlobalMaxPool a -> z",
    "a" },
  { "Relu", "input a 2,3,4,5\n Relu a -> y", "a" },
  { "LeakyRelu",
    "input a 2,3,4\n LeakyRelu a -> y alpha=0.3\n LeakyRelu a -> z\n LeakyRelu z -> q alpha=1.75\n "
      .. "LeakyRelu a -> o alpha=0.0",
    "a" },
  { "PRelu", "input a 2,3,4,5\n const k 3,1,1\n const s\n const r 5\n PRelu a k -> y\n PRelu y s -> z\n PRelu z r -> q",
    "a k s r" },
  { "Pad", "input a 2,3,4,5\n ints p 0,0,1,2,0,1,0,3\n const v\n Pad a p -> y\n Pad a p v -> z", "a" },
  { "Expand, Unsqueeze, Identity, Dropout",
    "input a 2,1,4\n ints s 2,3,4\n ints u 1\n Expand a s -> y\n Unsqueeze y u -> z\n Identity z -> q\n Dropout q -> d",
    "a" },
  { "Concat", "input a 2,3,4\n const k 2,1,4\n Concat a k a -> y axis=1\n Concat y y -> z axis=2", "a" },
}

-- A generator of our own, so that a failure comes back.
local function generator(seed)
  local state = seed
  return function(low, high)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return low + (state >> 33) % (high - low + 1)
  end
end

local function integers(random, count, bits)
  local list, least, most = {}, -(1 << bits - 1), (1 << bits - 1) - 1
  for i = 1, count do
    local kind = random(1, 6)
    list[i] = kind == 1 and least or kind == 2 and most or kind == 3 and random(-2, 2) or random(least, most)
  end
  return list
end

-- Exponents that keep most results inside; in the last rounds some that shift everything out, or far up.
local function exponent_of(random, round)
  local spread = round <= ROUNDS - 3 and 4 or 20
  return random(-7 - spread, -7 + spread)
end

local function alpha_exponent(node, bits)
  local alpha = node:attr("alpha", 0.01)
  return alpha == 0 and -15 or -math.floor(math.log(((1 << bits - 1) - 1) / alpha, 2))
end

-- Draws a table for the model: its exponents by name, and as a qtable.
local function draw(model, free, random, round, config)
  local exponents, t = {}, qtable.new { runtime = "v1", mode = "chip", bits = config[3], granularity = config[2] }
  for name in free:gmatch "%S+" do exponents[name] = exponent_of(random, round) end
  for node in model:nodes() do
    local out = node:output(1).name
    exponents[out] = exponents[out] or exponents[node:input(1).name]
    if node.op_type == "LeakyRelu" then
      exponents[node.name] = alpha_exponent(node, config[3])
      t:set(node.name .. "_alpha", "alpha", { exponents[node.name] })
    end
  end
  for name, e in pairs(exponents) do
    if model:value(name) then t:set(name, "activation", { e }) end
  end
  return exponents, t
end

local function model_of(text)
  local outputs, constants = {}, {}
  for name in text:gmatch "%->%s*(%w+)" do outputs[#outputs + 1] = name end
  -- Multiples of 1/512: between two integers of many exponents, on either side of zero.
  for name, shape in text:gmatch "const (%w+) ?([%d,]*)" do
    local dims = {}
    for d in shape:gmatch "%d+" do dims[#dims + 1] = math.tointeger(d) end
    local tensor = net.tensor(dims, #name + name:byte(), 512)
    local list = tensor:reshape({ -1 }):totable()
    for i, x in ipairs(list) do list[i] = math.floor(x) / 512 end
    constants[name] = core.tensor_from(list, "float32", dims)
  end
  return net.model(text .. "\n output " .. table.concat(outputs, " "), constants), outputs
end

-- The integers of every output, by the Evaluator. Returns how many elements were equal.
local function compare(label, model, outputs, config, t, values)
  local eva = espquant.Evaluator { bits = config[1], granularity = config[2], outputs = outputs }
  eva:generate_quantized_model(model, t)
  local images = {}
  for i, input in ipairs(model.inputs) do
    local v = values[input.name]
    images[i] = core.tensor_from(v.list, "float32", v.shape) * 2.0 ^ v.e
  end
  local count = 0
  for i, got in ipairs((eva:evaluate_quantized_model(#images == 1 and images[1] or images))) do
    local want = values[outputs[i]]
    assert.equal(config[1], got.dtype)
    assert.same(want.shape, got.shape, label)
    assert.same(want.list, got:reshape({ -1 }):totable(), ("%s '%s'"):format(label, outputs[i]))
    count = count + got.count
  end
  return count
end

local function integers_of_inputs(model, random, bits)
  local given = {}
  for _, input in ipairs(model.inputs) do
    local count = 1
    for _, d in ipairs(input.shape) do count = count * d end
    given[input.name] = integers(random, count, bits)
  end
  return given
end

describe("on the chip", function()
  local total = 0

  for number, case in ipairs(CASES) do
    it(case[1] .. " gives the integers of the definition", function()
      local model, outputs = model_of(case[2])
      for c, config in ipairs(CONFIGS) do
        for round = 1, ROUNDS do
          local random = generator(1000 * number + 100 * c + round)
          local exponents, t = draw(model, case[3], random, round, config)
          local values = naive.run(model, exponents, integers_of_inputs(model, random, config[3]), config[3])
          local label = ("%s %s round %d"):format(case[1], config[1], round)
          total = total + compare(label, model, outputs, config, t, values)
        end
      end
    end)
  end

  it("all this were many elements #unit", function()
    print(("\nchip mode: %d operators' forms in %d configurations, %d elements equal"):format(#CASES, #CONFIGS, total))
    assert.is_true(total > 100000)
  end)
end)

describe("slopes", function()
  local run = coefficients.new()
  before_each(run.open)
  after_each(run.close)

  local TEXT = [[
    input x 2,3,4,5
    const s 3,1,1
    LeakyRelu x -> l alpha=0.3
    LeakyRelu l -> m
    PRelu m s -> y
    output l m y
  ]]

  -- The integers and the exponent of an activation as coefficient.cpp has them.
  local function written(cpp, layer)
    local list, name = {}, layer .. "_activation"
    for number in cpp:match(name .. "_element%[%] = {([^}]*)}"):gmatch "%-?%d+" do
      list[#list + 1] = math.tointeger(number)
    end
    return { list = list, e = math.tointeger(cpp:match(name .. "%(%a+, " .. name .. "_element, (%-?%d+),")) }
  end

  local function sloped(x, slope, bits)
    local list, limit = {}, 1 << bits - 1
    for i, v in ipairs(x) do
      local factor = slope.list[#slope.list == 1 and 1 or (i - 1) // 20 % 3 + 1]
      local product = (v * factor) // (1 << -slope.e)
      list[i] = v >= 0 and v or math.max(-limit, math.min(limit - 1, product))
    end
    return list
  end

  it("are the integers and exponents of coefficient.cpp", function()
    for _, config in ipairs(CONFIGS) do
      local bits = config[3]
      local model = net.model(TEXT, { s = core.tensor_from({ 0.25, -0.7, 1.3 }, "float32", { 3, 1, 1 }) })
      local t = assert(espquant.Calibrator { bits = config[1], granularity = config[2], log = function() end }
        :measure_table(model, net.tensor({ 2, 3, 4, 5 }, 5)))
      local r = run.export(model, t, { bits = bits, granularity = config[2], target = "esp32s3", mode = "chip" })
      local values = { x = { shape = { 2, 3, 4, 5 }, e = t:exponent "x", list = integers(generator(bits), 120, bits) } }
      local from = "x"
      for _, step in ipairs { { "l", "leakyrelu_l" }, { "m", "leakyrelu_m" }, { "y", "prelu_y" } } do
        local slope = written(r.cpp, step[2])
        values[step[1]] = { shape = { 2, 3, 4, 5 }, list = sloped(values[from].list, slope, bits) }
        from = step[1]
      end
      compare("slopes " .. config[1], model, { "l", "m", "y" }, config, t, values)
    end
  end)
end)
