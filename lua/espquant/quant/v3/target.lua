--- What the policy of ESP-DL v3 needs to know of a chip.
---
---     target.of("esp32s3")   --> { chip = "esp32s3", group = "s3", rounding = "half-up", per_channel = false,
---                                  bias_bits = { [8] = 20, [16] = 40 } }

local M = {}

local GROUPS = {
  c = { group = "c", rounding = "half-up", per_channel = false, bias_bits = { [8] = 32, [16] = 64 } },
  s3 = { group = "s3", rounding = "half-up", per_channel = false, bias_bits = { [8] = 20, [16] = 40 } },
  p4 = { group = "p4", rounding = "half-even", per_channel = true, bias_bits = { [8] = 32, [16] = 40 } },
}

local CHIPS = {
  { "esp32", "c" }, { "esp32s2", "c" }, { "esp32c2", "c" }, { "esp32c3", "c" }, { "esp32c5", "c" }, { "esp32c6", "c" },
  { "c", "c" }, { "esp32s3", "s3" }, { "esp32p4", "p4" }, { "esp32s31", "p4" },
}

local targets = {}
M.CHIPS = {}
for i, pair in ipairs(CHIPS) do
  local facts = { chip = pair[1] }
  for key, value in pairs(GROUPS[pair[2]]) do facts[key] = value end
  M.CHIPS[i], targets[pair[1]] = pair[1], facts
end

--- The facts of a chip, or nil.
function M.of(chip) return targets[chip] end

return M
