--- The models of the benchmark, built through the graph API, the same bytes on every machine.
---
---     local models = dofile "scripts/bench/models.lua"
---     local graph = models.build "mnist_cnn"            -- float, with BatchNormalization
---     local graph = models.build("mnist_cnn", "chip")   -- what ESP-DL v1 can quantize of it
---     local images = models.images("mnist_cnn", 64)
---
--- Weights are random in the scale of He's initialization; BatchNormalization's mean and variance follow from what the
--- layers before it do to the power of a signal, up to a random factor, so that values neither fade nor grow.
---
--- The "chip" form has Relu for Clip(0, 6), repeats pixels by Expand where the float form has Resize, and leaves off
--- the Softmax or Sigmoid at the end: ESP-DL v1 has none of them.

local core = require "espquant.core"

local M = {}

-- --- random numbers ------------------------------------------------------------------------------------------------

-- Nearly normal numbers, mean 0 and variance 1, from integers only: each is the sum of eight 16-bit pieces, of two
-- states of a linear congruential generator. A prime number of them, so that rows cut from the repeated block differ.
local BLOCK = 65521

local function make_block()
  local state, pieces, line = 20240607, {}, {}
  local unit = 1 / math.sqrt(8 / 12 * 65536.0 ^ 2)
  local function four()
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 48) + (state >> 32 & 0xFFFF) + (state >> 16 & 0xFFFF) + (state & 0xFFFF)
  end
  for i = 1, BLOCK do
    line[#line + 1] = (four() + four() - 8 * 32767.5) * unit
    if #line == 128 or i == BLOCK then
      pieces[#pieces + 1] = ("<" .. ("f"):rep(#line)):pack(table.unpack(line))
      line = {}
    end
  end
  return table.concat(pieces)
end

local block

-- A source of tensors; each begins at another place of the block.
local function new_source(seed)
  local place = seed * 7919
  return function(shape)
    block = block or make_block()
    local count = 1
    for _, d in ipairs(shape) do count = count * d end
    place = (place + 12347) % BLOCK
    local copies = (place + count - 1) // BLOCK + 1
    local bytes = (copies == 1 and block or block:rep(copies)):sub(4 * place + 1, 4 * (place + count))
    return core.tensor_frombytes { dtype = "float32", shape = shape, data = bytes, byteorder = "<" }
  end
end

-- --- layers --------------------------------------------------------------------------------------------------------

-- What flows between layers: {value =, channels =, power = mean of squares, dim = features of a flat value}.
local Builder = {}
Builder.__index = Builder

local RELU = { gain = 0.5, type = "Relu" }
local RELU6 = { gain = 0.5, type = "Clip" }
local LEAKY = { gain = 0.505, type = "LeakyRelu" }

local function new_builder(name, shape, form, seed)
  local graph = core.graph { name = name, opset = 13, ir_version = 7 }
  local self = setmetatable({ graph = graph, random = new_source(seed), form = form, count = 0 }, Builder)
  local input = graph:add_input("input", "float32", { "N", table.unpack(shape) })
  return self, { value = input, channels = shape[1], power = 0.25 }
end

function Builder:node(op_type, inputs, attrs, output)
  self.count = self.count + 1
  local name = ("%s_%d"):format(op_type:lower(), self.count)
  local node = self.graph:add_node {
    op_type = op_type, name = name, inputs = inputs, outputs = { output or name .. "_out" }, attrs = attrs,
  }
  return node:output(1), name
end

function Builder:constant(name, shape, scale, offset)
  local t = self.random(shape)
  if scale ~= 1 then t = t * scale end
  if offset then t = t + offset end
  return self.graph:add_constant(name, t)
end

-- Sums over inputs that are never negative have means far from 0.
function Builder:batchnorm(x)
  local c = x.channels
  local prefix = ("batchnormalization_%d"):format(self.count + 1)
  local value = self:node("BatchNormalization", {
    x.value,
    self:constant(prefix .. ".weight", { c }, 0.28, 1.0), self:constant(prefix .. ".bias", { c }, 0.28),
    self:constant(prefix .. ".running_mean", { c }, 0.5 * math.sqrt(x.power)),
    self.graph:add_constant(prefix .. ".running_var", (self.random { c }:abs() * 0.3 + 0.6) * x.power),
  }, { epsilon = 1e-5 })
  return { value = value, channels = c, power = 1.8 }
end

function Builder:activate(x, kind)
  if not kind then return x end
  local inputs, attrs = { x.value }, nil
  local op_type = kind.type
  if kind == RELU6 and self.form == "chip" then op_type = "Relu" end
  if op_type == "Clip" then
    self.low = self.low or self.graph:add_constant("relu6.min", core.tensor_from({ 0 }, "float32", {}))
    self.high = self.high or self.graph:add_constant("relu6.max", core.tensor_from({ 6 }, "float32", {}))
    inputs[2], inputs[3] = self.low, self.high
  elseif op_type == "LeakyRelu" then
    attrs = { alpha = 0.1 }
  end
  return { value = self:node(op_type, inputs, attrs), channels = x.channels, power = kind.gain * x.power }
end

-- o: out, kernel {h, w}, stride, pads {h, w}, group, bias.
function Builder:conv(x, o)
  local group = o.group or 1
  local kh, kw = o.kernel[1], o.kernel[2]
  local shape = { o.out, x.channels // group, kh, kw }
  local prefix = ("conv_%d"):format(self.count + 1)
  local inputs = { x.value, self:constant(prefix .. ".weight", shape, math.sqrt(2 / (shape[2] * kh * kw))) }
  if o.bias then inputs[3] = self:constant(prefix .. ".bias", { o.out }, 0.05) end
  local ph, pw = (o.pads or { kh // 2 })[1], (o.pads or { 0, kw // 2 })[2]
  local value = self:node("Conv", inputs, {
    dilations = { 1, 1 }, group = group, kernel_shape = { kh, kw }, pads = { ph, pw, ph, pw },
    strides = { o.stride or 1, o.stride or 1 },
  })
  return { value = value, channels = o.out, power = 2 * x.power }
end

-- Conv -> BatchNormalization -> activation, square kernels.
function Builder:block(x, out, kernel, stride, kind, group)
  x = self:conv(x, { out = out, kernel = { kernel, kernel }, stride = stride, group = group })
  return self:activate(self:batchnorm(x), kind)
end

-- Depthwise and then pointwise.
function Builder:separable(x, out, stride, kind)
  return self:block(self:block(x, x.channels, 3, stride, kind, x.channels), out, 1, 1, kind)
end

function Builder:gemm(x, inputs, outputs, output)
  local prefix = ("gemm_%d"):format(self.count + 1)
  local value = self:node("Gemm", {
    x.value, self:constant(prefix .. ".weight", { outputs, inputs }, math.sqrt(2 / inputs)),
    self:constant(prefix .. ".bias", { outputs }, 0.05),
  }, { transB = 1 }, output)
  return { value = value, channels = outputs, power = 2 * x.power }
end

function Builder:maxpool(x, kernel, stride, pad)
  local value = self:node("MaxPool", { x.value }, {
    kernel_shape = { kernel, kernel }, strides = { stride, stride }, pads = { pad, pad, pad, pad },
  })
  return { value = value, channels = x.channels, power = 1.3 * x.power }
end

function Builder:classify(x, classes, output)
  local pooled = self:node("GlobalAveragePool", { x.value })
  local flat = self:node("Flatten", { pooled }, { axis = 1 })
  return self:gemm({ value = flat, power = 0.3 * x.power }, x.channels, classes, output)
end

function Builder:add(x, y)
  return { value = self:node("Add", { x.value, y.value }), channels = x.channels, power = x.power + y.power }
end

function Builder:concat(x, y)
  return {
    value = self:node("Concat", { x.value, y.value }, { axis = 1 }), channels = x.channels + y.channels,
    power = (x.power + y.power) / 2,
  }
end

-- Twice the height and width, pixels repeated. `size` is the height and width before.
function Builder:upsample(x, size)
  local graph = self.graph
  local function constant(numbers, dtype) return graph:add_constant(nil, core.tensor_from(numbers, dtype)) end
  local value, c = x.value, x.channels
  if self.form == "chip" then
    value = self:node("Reshape", { value, constant({ 0, c, size, 1, size, 1 }, "int64") })
    value = self:node("Expand", { value, constant({ 1, 1, 1, 2, 1, 2 }, "int64") })
    value = self:node("Reshape", { value, constant({ 0, c, 2 * size, 2 * size }, "int64") })
  else
    value = self:node("Resize", { value, false, constant({ 1, 1, 2, 2 }, "float32") },
      { coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor" })
  end
  return { value = value, channels = c, power = x.power }
end

function Builder:finish(...)
  for _, value in ipairs { ... } do self.graph:add_output(value) end
  assert(self.graph:infer_shapes())
  return self.graph
end

-- --- models --------------------------------------------------------------------------------------------------------

local builders = {}

function builders.mnist_cnn(b, x)
  x = b:maxpool(b:block(x, 16, 3, 1, RELU), 2, 2, 0)
  x = b:maxpool(b:block(x, 32, 3, 1, RELU), 2, 2, 0)
  x = b:block(x, 64, 3, 1, RELU)
  local flat = { value = b:node("Flatten", { x.value }, { axis = 1 }), power = x.power }
  x = b:activate(b:gemm(flat, 64 * 7 * 7, 64), RELU)
  return b:finish(b:gemm(x, 64, 10, "output").value)
end

function builders.dscnn_kws(b, x)
  x = b:conv(x, { out = 64, kernel = { 10, 4 }, stride = 2, pads = { 5, 1 } })
  x = b:activate(b:batchnorm(x), RELU)
  for _ = 1, 4 do x = b:separable(x, 64, 1, RELU) end
  if b.form == "chip" then return b:finish(b:classify(x, 12, "output").value) end
  return b:finish((b:node("Softmax", { b:classify(x, 12).value }, { axis = 1 }, "output")))
end

function builders.mlp_ad(b, x)
  x.channels = 640
  for _, width in ipairs { 128, 128, 128, 128, 8, 128, 128, 128, 128 } do
    x = b:activate(b:batchnorm(b:gemm(x, x.channels, width)), RELU)
  end
  return b:finish(b:gemm(x, 128, 640, "output").value)
end

builders["mobilenet_v1_0.25_96"] = function(b, x)
  x = b:block(x, 8, 3, 2, RELU)
  local widths = { 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256 }
  local halves = { [2] = true, [4] = true, [6] = true, [12] = true }
  for i, width in ipairs(widths) do x = b:separable(x, width, halves[i] and 2 or 1, RELU) end
  return b:finish(b:classify(x, 1000, "output").value)
end

-- widths: of the stem, then of the seven stages; 1280 channels at the end.
local function mobilenet_v2(b, x, widths)
  local expand, repeats, strides = { 1, 6, 6, 6, 6, 6, 6 }, { 1, 2, 3, 4, 3, 3, 1 }, { 1, 2, 2, 2, 1, 2, 1 }
  x = b:block(x, widths[1], 3, 2, RELU6)
  for stage = 1, 7 do
    for i = 1, repeats[stage] do
      local inner, before, stride = x.channels * expand[stage], x, i == 1 and strides[stage] or 1
      if expand[stage] > 1 then x = b:block(x, inner, 1, 1, RELU6) end
      x = b:block(x, inner, 3, stride, RELU6, inner)
      x = b:block(x, widths[stage + 1], 1, 1)
      if i > 1 then x = b:add(before, x) end
    end
  end
  x = b:block(x, 1280, 1, 1, RELU6)
  return b:finish(b:classify(x, 1000, "output").value)
end

builders["mobilenet_v2_0.35_96"] = function(b, x) return mobilenet_v2(b, x, { 16, 8, 8, 16, 24, 32, 56, 112 }) end
builders["mobilenet_v2_1.0_224"] = function(b, x) return mobilenet_v2(b, x, { 32, 16, 24, 32, 64, 96, 160, 320 }) end

-- A detector: a backbone, features up and down a pyramid, a head of 75 channels at three sizes.
function builders.det_nano_224(b, x)
  local function stage(y, width)
    y = b:separable(y, y.channels, 2, LEAKY)
    return b:separable(y, width, 1, LEAKY)
  end
  local function head(y, output)
    y = b:block(y, 64, 5, 1, LEAKY, 64)
    y = b:conv(y, { out = 75, kernel = { 1, 1 }, bias = true })
    return b.form == "chip" and y.value or b:node("Sigmoid", { y.value }, nil, output)
  end
  x = stage(b:block(x, 16, 3, 2, LEAKY), 32)
  local s2 = b:separable(stage(x, 64), 64, 1, LEAKY)
  local s3 = b:separable(stage(s2, 128), 128, 1, LEAKY)
  local s4 = b:separable(stage(s3, 256), 256, 1, LEAKY)
  local l4, l3 = b:block(s4, 64, 1, 1, LEAKY), b:block(s3, 64, 1, 1, LEAKY)
  local t3 = b:separable(b:concat(l3, b:upsample(l4, 7)), 64, 1, LEAKY)
  local l2 = b:block(s2, 64, 1, 1, LEAKY)
  local t2 = b:separable(b:concat(l2, b:upsample(t3, 14)), 64, 1, LEAKY)
  local o3 = b:separable(b:concat(t3, b:separable(t2, 64, 2, LEAKY)), 64, 1, LEAKY)
  local o4 = b:separable(b:concat(l4, b:separable(o3, 64, 2, LEAKY)), 64, 1, LEAKY)
  return b:finish(head(t2, "p2"), head(o3, "p3"), head(o4, "p4"))
end

function builders.resnet50_224(b, x)
  x = b:maxpool(b:block(x, 64, 7, 2, RELU), 3, 2, 1)
  for stage, repeats in ipairs { 3, 4, 6, 3 } do
    local width = 32 << stage
    for i = 1, repeats do
      local stride, before = i == 1 and stage > 1 and 2 or 1, x
      local y = b:block(b:block(x, width, 1, 1, RELU), width, 3, stride, RELU)
      y = b:block(y, 4 * width, 1, 1)
      if i == 1 then before = b:block(x, 4 * width, 1, stride) end
      x = b:activate(b:add(y, before), RELU)
    end
  end
  return b:finish(b:classify(x, 1000, "output").value)
end

-- Shape of one image.
local SHAPES = {
  mnist_cnn = { 1, 28, 28 }, dscnn_kws = { 1, 49, 10 }, mlp_ad = { 640 },
  ["mobilenet_v1_0.25_96"] = { 3, 96, 96 }, ["mobilenet_v2_0.35_96"] = { 3, 96, 96 },
  det_nano_224 = { 3, 224, 224 }, ["mobilenet_v2_1.0_224"] = { 3, 224, 224 }, resnet50_224 = { 3, 224, 224 },
}

--- Names of the models, small ones first.
M.names = {
  "mnist_cnn", "dscnn_kws", "mlp_ad", "mobilenet_v1_0.25_96", "mobilenet_v2_0.35_96", "det_nano_224",
  "mobilenet_v2_1.0_224", "resnet50_224",
}

local number = {}
for i, name in ipairs(M.names) do number[name] = i end

--- A new graph. form: "float" (default) or "chip". Raises for an unknown name.
function M.build(name, form)
  local build = builders[name] or error(("no model '%s'; there are: %s"):format(name, table.concat(M.names, ", ")), 0)
  return build(new_builder(name, SHAPES[name], form or "float", number[name]))
end

--- n images for a model, as one float32 tensor.
function M.images(name, n)
  return new_source(number[name] + 100) { n, table.unpack(SHAPES[name]) } * 0.5
end

return M
