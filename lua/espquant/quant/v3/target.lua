--- What ESP-DL v3's policy and simulation need to know of a chip: rows of csrc/quant/targets.def.
---
---     target.of("esp32s3")   --> { chip = "esp32s3", group = "s3", rounding = "half-up", per_channel = false,
---                                  bias_bits = { [8] = 20, [16] = 40 } }

local core = require "espquant.core"

local M = {}

--- The names of all chips.
M.CHIPS = {}

local targets = {}
for _, row in ipairs(core.targets()) do
  if row.runtime == "v3" then
    M.CHIPS[#M.CHIPS + 1] = row.chip
    targets[row.chip] = {
      chip = row.chip, group = row.group, rounding = row.rounding, per_channel = row.per_channel,
      bias_bits = { [8] = row.bias_bits_8, [16] = row.bias_bits_16 },
    }
  end
end

--- The facts of a chip, or nil.
function M.of(chip) return targets[chip] end

return M
