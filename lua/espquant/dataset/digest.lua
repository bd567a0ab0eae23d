--- The name of a dataset in tables and reports: a hash of the hashes of its images, in their order, whatever the batches
--- and however the data are split.
---
---     local d = digest.new()
---     for inputs in data:batches() do d:add(inputs) end
---     print(d:hash())                              -- 64 hexadecimal digits
---     digest.hash(part1:list() .. part2:list())    -- of what two parts have seen

local core = require "espquant.core"

local Digest = {}
Digest.__index = Digest

local M = {}

function M.new()
  return setmetatable({}, Digest)
end

local function to_bytes(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

--- Adds a batch: a tensor, or a list of one per input.
function Digest:add(inputs)
  local list = type(inputs) == "table" and inputs or { inputs }
  for i = 1, #list[1] do
    local parts = {}
    for k, tensor in ipairs(list) do parts[k] = tensor:slice(i, i):tobytes() end
    self[#self + 1] = to_bytes(core.sha256(table.concat(parts)))
  end
end

--- The images' hashes, 32 bytes each.
function Digest:list()
  return table.concat(self)
end

--- The hash of such a list.
M.hash = core.sha256

function Digest:hash()
  return M.hash(self:list())
end

return M
