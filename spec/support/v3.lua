--- The recorded cases of ESP-DL v3 as specs use them.
---
---     v3.each(function(label, case, record) ... end)    -- every case and configuration

local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local prepare = require "espquant.quant.v3.prepare"

local M = {}

--- The recorded model in the form that is quantized.
function M.model(case)
  return assert(prepare(assert(core.onnx_decode(case.bytes "model.onnx"))))
end

--- Calls f(label, case, record) for every recorded table; record is { folder =, target =, bits =, table = }.
function M.each(f)
  for _, name in ipairs(fixtures.CASES_V3) do
    local case = fixtures.open(name, "v3")
    for _, member in ipairs(case.names "/table%.json$") do
      local json = case.json(member)
      local folder = member:match "^(.*)/"
      f(name .. "/" .. folder, case, { folder = folder, target = json.target, bits = json.num_of_bits, table = json })
    end
  end
end

return M
