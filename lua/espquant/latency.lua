--- How long a model takes on a chip: a band, from the times that Espressif publishes for single operators and for whole
--- models. Nothing here was measured by us.
---
---     local band = latency.band(model, "v3", "esp32s3", 8)     -- { low =, high = } in milliseconds, or nil and why not
---
--- Low: every product at the speed of the fastest published operator of its sort, nothing else takes time. High: at that
--- of the slowest, times the ratio by which a published whole model is slower than that (never below 1): it holds
--- operators without published times, and weights and tensors that come from flash and PSRAM.

local size = require "espquant.size"

local M = {}

--- Published times, in microseconds of one kernel (https://github.com/espressif/esp-dl, operator_performance.md, commit
--- ebda7ce2a719): int8, SIMD, tensors in PSRAM. `macs`: products of the shape that is named there.
M.OPERATORS = {
  esp32s3 = { -- 240 MHz, 64 KB of data cache, octal PSRAM
    { sort = "conv", shape = "16 x 20 x 20, filter 32 x 1 x 1", macs = 204800, us = 422 },
    { sort = "conv", shape = "32 x 19 x 23, filter 16 x 3 x 3, stride 2", macs = 552960, us = 482 },
    { sort = "conv", shape = "16 x 22 x 22, filter 32 x 5 x 5, stride 2", macs = 1548800, us = 974 },
    { sort = "conv", shape = "22 x 19 x 23, filter 33 x 3 x 3", macs = 2855358, us = 3447 },
    { sort = "depthwise", shape = "32 x 100 x 50, filter 3 x 3", macs = 1354752, us = 5542 },
    { sort = "depthwise", shape = "25 x 20 x 20, filter 7 x 7, stride 1 x 2", macs = 198450, us = 918 },
  },
  esp32p4 = { -- 360 MHz, 200 MHz PSRAM
    { sort = "conv", shape = "16 x 20 x 20, filter 32 x 1 x 1", macs = 204800, us = 289 },
    { sort = "conv", shape = "32 x 19 x 23, filter 16 x 3 x 3, stride 2", macs = 552960, us = 421 },
    { sort = "conv", shape = "16 x 22 x 22, filter 32 x 5 x 5, stride 2", macs = 1548800, us = 666 },
    { sort = "conv", shape = "22 x 19 x 23, filter 33 x 3 x 3", macs = 2855358, us = 2517 },
    { sort = "depthwise", shape = "32 x 100 x 50, filter 3 x 3", macs = 1354752, us = 2333 },
    { sort = "depthwise", shape = "25 x 20 x 20, filter 7 x 7, stride 1 x 2", macs = 198450, us = 660 },
  },
}

--- Published times of a whole model on one core, in milliseconds (models/imagenet_cls/README.md there, commit
--- 01b5ede4324b): MobileNetV2 1.0 of 224 x 224, int8. Products: of that network.
M.MODELS = {
  esp32s3 = { name = "MobileNetV2 1.0, 224 x 224", conv = 280057856, depthwise = 20716416, ms = 1309.5 },
  esp32p4 = { name = "MobileNetV2 1.0, 224 x 224", conv = 280057856, depthwise = 20716416, ms = 326.6 },
}

--- "conv" or "depthwise": which published operators a node is like.
function M.sort_of(node)
  local group = node.op_type == "Conv" and node:attr("group", 1) or 1
  return group > 1 and "depthwise" or "conv"
end

-- Nanoseconds of a product, of the fastest and the slowest operator, by sort.
local function speeds_of(chip)
  local speeds = {}
  for _, operator in ipairs(M.OPERATORS[chip]) do
    local each = operator.us * 1e3 / operator.macs
    local s = speeds[operator.sort] or { fastest = each, slowest = each }
    s.fastest, s.slowest = math.min(s.fastest, each), math.max(s.slowest, each)
    speeds[operator.sort] = s
  end
  return speeds
end

-- Milliseconds of so many products by sort.
local function milliseconds(macs, speeds, which)
  local sum = 0
  for sort, speed in pairs(speeds) do sum = sum + (macs[sort] or 0) * speed[which] end
  return sum * 1e-6
end

--- By how much the published model is slower than its products at the slowest published speed; at least 1.
function M.model_factor(chip)
  local whole = M.MODELS[chip]
  return math.max(1, whole.ms / milliseconds(whole, speeds_of(chip), "slowest"))
end

--- The band in milliseconds on one core, or nil and the reason: there are no published times for the runtime, the chip or
--- the width, or products that are not known.
function M.band(model, runtime, chip, bits)
  if runtime ~= "v3" then return nil, "no operator times are published for ESP-DL v1" end
  if not M.OPERATORS[chip] then return nil, ("no operator times are published for the %s"):format(chip) end
  if bits ~= 8 then return nil, ("no operator times are published for int%d"):format(bits) end
  local macs = { conv = 0, depthwise = 0 }
  for node in model:nodes() do
    local products = size.macs(node)
    if not products then return nil, ("the shapes of %s are not known"):format(node:label()) end
    local sort = M.sort_of(node)
    macs[sort] = macs[sort] + products
  end
  local speeds = speeds_of(chip)
  return { low = milliseconds(macs, speeds, "fastest"),
    high = milliseconds(macs, speeds, "slowest") * M.model_factor(chip) }
end

return M
