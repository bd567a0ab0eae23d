--- The layers of a float model whose sums can leave the ESP32-S3's lanes, before it is calibrated for ESP-DL v3: as
--- `espquant.quant.lanes` lists them.
---
---     local list, message, code = foreseen(model, { bits = 8, chip = "esp32s3" })
---
--- Weights alone decide here: biases are not known before the data, and calibration makes some weights coarser.

local constants = require "espquant.quant.v3.constants"
local lanes = require "espquant.quant.lanes"
local prepare = require "espquant.quant.v3.prepare"
local target = require "espquant.quant.v3.target"
local widths = require "espquant.quant.v3.widths"

return function(model, settings)
  local graph, message, code = prepare(model)
  if not graph then return nil, message, code end
  local facts, found, own = target.of(settings.chip), widths.resolve(graph, settings.bits)
  for _, c in ipairs(constants.measure(graph, found, own, facts)) do
    if c.role == "weight" then
      c.value:set_constant(assert(c.value.constant:quantize(c.exponents, c.bits, c.axis, facts.rounding)))
    end
  end
  return lanes.of(graph)
end
