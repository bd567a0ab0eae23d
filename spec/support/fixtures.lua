--- What the original tools recorded, packed by scripts/pack_fixtures: spec/fixtures/v1/<case>.tar.gz, and v3.
---
---     local case = fixtures.open "lenet_100"
---     case.bytes "model.onnx"    case.tensor "input.npy"    case.json "int8-per-tensor-minmax/table.json"
---     fixtures.open "negative"   fixtures.open("gemm_mlp", "v3")
---
--- A pack or a member that is absent is an error: specs fail then, and skip nothing.
local cjson = require "cjson"
local core = require "espquant.core"
local gzip = require "espquant.codec.gzip"
local npy = require "espquant.codec.npy"

local M = {}

-- The models of v1. Packs of another structure are "negative", "convert_tool" and "entropy_unit".
M.CASES = {
  "act_after_shape_119", "add_chain_109", "add_shared_190", "avgpool_pads_106", "concat_mix_120", "conv_attrs_108",
  "dense_118", "extreme_117", "headpool_123", "inception_104", "inception_sparse_153", "leaky_net_112",
  "leaky_net_sat_154", "lenet_100", "lenet_tails_150", "max_min_111", "mlp_103", "mobilenet_bn_101",
  "mobilenet_bn_skew_152", "multi_out_115", "nobias_116", "pools_105", "prelu_net_113", "reshapes_107", "resnet_102",
  "resnet_laplace_151", "slicing_114", "sub_mul_110", "tiny_121", "wide_122",
}

-- The models of v3.
M.CASES_V3 = {
  "concat_branches", "conv1d_net", "conv_bn_relu_cnn", "depthwise_block", "gemm_mlp", "leaky_prelu", "pools",
  "reshape_transpose", "residual_add", "sigmoid_swish", "softmax_head", "tiny_conv_relu_gemm",
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

-- All members of a pack: name -> bytes.
local function unpack_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return untar(assert(gzip.gunzip(file:read "a", 1 << 28)))
end

--- A pack: `files` (name -> bytes), and functions of a member's name that fail where it is absent, but for `has`.
--- `names(pattern)` lists the members that match, sorted.
function M.open(name, version)
  local path = ("spec/fixtures/%s/%s.tar.gz"):format(version or "v1", name)
  local files = unpack_file(path)
  local case = { files = files, name = name }
  function case.has(member) return files[member] ~= nil end
  function case.bytes(member) return files[member] or error(("%s has no %s"):format(path, member), 2) end
  function case.tensor(member) return core.tensor_frombytes((assert(npy.decode((case.bytes(member)))))) end
  function case.json(member) return (cjson.decode((case.bytes(member)))) end
  function case.names(pattern)
    local list = {}
    for member in pairs(files) do
      if member:match(pattern) then list[#list + 1] = member end
    end
    table.sort(list)
    return list
  end
  return case
end

return M
