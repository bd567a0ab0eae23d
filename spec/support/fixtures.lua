--- Recorded cases of the original toolkit, packed: spec/fixtures/v1/<case>.tar.gz.
---
---     local case = fixtures.open "lenet_100"
---     case.bytes "model.onnx"    case.tensor "input.npy"    case.json "int8-per-tensor-minmax/table.json"
local cjson = require "cjson"
local core = require "espquant.core"
local gzip = require "espquant.codec.gzip"
local npy = require "espquant.codec.npy"

local M = {}

M.CASES = {
  "add_shared_190", "conv_attrs_108", "extreme_117", "inception_104", "inception_sparse_153", "leaky_net_112",
  "leaky_net_sat_154", "lenet_100", "lenet_tails_150", "mlp_103", "nobias_116", "prelu_net_113", "reshapes_107",
  "slicing_114", "tiny_121", "wide_122",
}

M.CONFIGURATIONS = {
  { name = "int8-per-tensor-minmax", "int8", "per-tensor", "minmax" },
  { name = "int8-per-tensor-entropy", "int8", "per-tensor", "entropy" },
  { name = "int8-per-channel-minmax", "int8", "per-channel", "minmax" },
  { name = "int8-per-channel-entropy", "int8", "per-channel", "entropy" },
  { name = "int16-per-tensor-minmax", "int16", "per-tensor", "minmax" },
}

local BLOCK = 512

-- Members of a ustar archive: name -> bytes. Ours, so the format is trusted.
local function untar(bytes)
  local files, at = {}, 1
  while at + BLOCK <= #bytes do
    local name = bytes:sub(at, at + 99):match "^[^%z]*"
    if name == "" then break end
    local size = tonumber(bytes:sub(at + 124, at + 134):match "%d+", 8)
    if bytes:sub(at + 156, at + 156) == "0" then files[name] = bytes:sub(at + BLOCK, at + BLOCK + size - 1) end
    at = at + BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK
  end
  return files
end

--- All members of spec/fixtures/<path>.
function M.unpack(path)
  local file = assert(io.open("spec/fixtures/" .. path, "rb"))
  local packed = file:read "a"
  file:close()
  return untar(assert(gzip.gunzip(packed, 1 << 28)))
end

function M.open(name)
  local files = M.unpack("v1/" .. name .. ".tar.gz")
  local case = { files = files, name = name }
  function case.bytes(path) return (assert(files[path], path)) end
  function case.tensor(path) return core.tensor_frombytes((assert(npy.decode((case.bytes(path)))))) end
  function case.json(path) return (cjson.decode((case.bytes(path)))) end
  function case.has(path) return files[path] ~= nil end
  return case
end

return M
