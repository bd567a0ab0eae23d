local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x -> Conv -> op with k -> y
local function scaled(op, k, options)
  options = options or {}
  return function(b)
    local inputs = { b.input("x", { 2, 3, 6, 6 }), b.random("w", { 4, 3, 3, 3 }) }
    if options.bias then inputs[3] = b.random("b", { 4 }) end
    local conv = b.node("Conv", inputs, { name = "conv", attrs = { pads = { 1, 1, 1, 1 } } })
    local constant = type(k) == "table" and b.random("k", k, 0.5) or b.constant("k", k)
    b.output(b.node(op, options.swap and { constant, conv } or { conv, constant }, { out = "y" }))
    if options.other then b.output(conv) end
  end
end

local CHANNELS = { 4, 1, 1 }
local function scalar(x, dtype) return core.tensor_from({ x }, dtype or "float32", {}) end

harness.describe("fuse_scale_into_conv", {
  { "multiplies filters and bias", build = scaled("Mul", CHANNELS, { bias = true }), changes = 1, ops = "Conv" },
  { "multiplies filters without a bias", build = scaled("Mul", { 1, 4, 1, 1 }), changes = 1, ops = "Conv",
    check = function(graph) assert.is_nil(graph:node "conv":input(3)) end },
  { "takes the factor in front", build = scaled("Mul", CHANNELS, { swap = true }), changes = 1, ops = "Conv" },
  { "divides", build = scaled("Div", CHANNELS, { bias = true }), changes = 1, ops = "Conv" },
  { "takes one number for all", build = scaled("Div", scalar(3)), changes = 1, ops = "Conv" },
  { "adds to the bias", build = scaled("Add", CHANNELS, { bias = true, swap = true }), changes = 1, ops = "Conv" },
  { "subtracts from the bias", build = scaled("Sub", CHANNELS, { bias = true }), changes = 1, ops = "Conv" },
  { "subtracts without a bias", build = scaled("Sub", CHANNELS), changes = 1, ops = "Conv" },
  { "keeps a quotient of the Conv", build = scaled("Div", CHANNELS, { swap = true }), changes = 0, exact = true },
  { "keeps a difference to the Conv", build = scaled("Sub", CHANNELS, { swap = true }), changes = 0, exact = true },
  { "keeps what belongs to another axis", build = scaled("Mul", { 6, 1 }), changes = 0, exact = true },
  { "keeps a constant of higher rank", build = scaled("Mul", { 1, 1, 4, 1, 1 }), changes = 0, run = false },
  { "keeps a division by zero", build = scaled("Div", scalar(0)), changes = 0, run = false },
  { "keeps factors that overflow", build = scaled("Mul", scalar(math.huge)), changes = 0, run = false },
  { "keeps it when the Conv has another reader", build = scaled("Mul", CHANNELS, { other = true }), changes = 0,
    exact = true },
  { "keeps it where the factor is a double", build = scaled("Mul", scalar(2, "float64")), changes = 0, run = false },
})
