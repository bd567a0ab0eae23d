--- The name of a dataset in tables and reports: a hash of its images one after the other, whatever the batches.
---
---     local hash = ""
---     for inputs in data:batches() do hash = digest(hash, inputs) end

local core = require "espquant.core"

--- The hash after a batch (a tensor, or a list of one per input): of the hash before and of each image's numbers.
return function(hash, inputs)
  local list = type(inputs) == "table" and inputs or { inputs }
  for i = 1, #list[1] do
    for _, tensor in ipairs(list) do hash = core.sha256(hash .. tensor:slice(i, i):tobytes()) end
  end
  return hash
end
