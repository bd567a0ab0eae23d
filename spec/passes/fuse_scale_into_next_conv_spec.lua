local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function scalar(x, dtype) return core.tensor_from({ x }, dtype or "float32", {}) end

-- x -> steps { op, shape or tensor, swap } -> Conv -> y; options: pads, auto_pad, group, bias, other, x
local function build(steps, o)
  o = o or {}
  return function(b)
    local y, group = b.input("x", o.x or { 2, 4, 6, 6 }), o.group or 1
    for i, step in ipairs(steps) do
      local k = step[2]
      k = type(k) == "table" and b.random("k" .. i, k, 0.5) or b.constant("k" .. i, k)
      y = b.node(step[1], step[3] and { k, y } or { y, k })
      if o.other then b.output(y) end
    end
    local inputs = { y, b.random("w", { 6, 4 // group, 3, 3 }) }
    if o.bias then inputs[3] = b.random("b", { 6 }) end
    b.output(b.node("Conv", inputs, { name = "conv", out = "y",
      attrs = { pads = o.pads, auto_pad = o.auto_pad, group = group } }))
  end
end

local CHANNELS, PADS = { 4, 1, 1 }, { 1, 1, 1, 1 }
local function fires(name, steps, o, changes)
  return { name, build = build(steps, o), changes = changes or 1, ops = "Conv" }
end
local function keeps(name, steps, o) return { name, build = build(steps, o), changes = 0, exact = true } end

harness.describe("fuse_scale_into_next_conv", {
  fires("multiplies the weights", { { "Mul", CHANNELS } }),
  fires("multiplies where zeros are padded", { { "Mul", { 1, 4, 1, 1 }, true } }, { pads = PADS, bias = true }),
  fires("divides", { { "Div", CHANNELS } }, { pads = PADS }),
  fires("takes one number", { { "Div", scalar(255) } }),
  fires("adds to the bias", { { "Add", CHANNELS } }, { bias = true }),
  fires("adds one number, without a bias", { { "Add", scalar(3), true } }, { pads = { 0, 0, 0, 0 } }),
  fires("subtracts from the bias", { { "Sub", CHANNELS } }),
  fires("takes mean and deviation of a picture", { { "Sub", CHANNELS }, { "Div", CHANNELS } }, {}, 2),
  fires("knows the channels of groups", { { "Mul", CHANNELS }, { "Add", CHANNELS } }, { group = 2 }, 2),
  keeps("keeps a sum where zeros are padded", { { "Add", CHANNELS } }, { pads = { 0, 0, 1, 0 } }),
  keeps("keeps a sum where the size decides what is padded", { { "Add", CHANNELS } }, { auto_pad = "SAME_UPPER" }),
  keeps("keeps a quotient of a constant", { { "Div", CHANNELS, true } }),
  keeps("keeps a difference from a constant", { { "Sub", CHANNELS, true } }),
  keeps("keeps numbers of another axis", { { "Mul", { 6, 1 } } }),
  keeps("keeps numbers that give the tensor its channels", { { "Mul", CHANNELS } }, { x = { 2, 1, 6, 6 } }),
  keeps("keeps it when others read the product", { { "Mul", CHANNELS } }, { other = true }),
  { "keeps a division by zero", build = build { { "Div", scalar(0) } }, changes = 0, run = false },
  { "keeps a factor of another type", build = build { { "Mul", scalar(2, "float64") } }, changes = 0, run = false },
})
