--- From a float graph to the form that ESP-DL v3 quantizes: the same for calibration, simulation and export.
---
---     local prepared, message, code = prepare(graph)
---
--- The result is a graph of opset 24 that computes the same: operators that the runtime does not have are written in
--- those that it has (quant/v3/forms), attributes are explicit, every node has a name of its own and every float
--- constant one reader. Tensors keep their names. What no form fits stays, for quant/v3/check.lua to tell. Preparing
--- twice changes nothing more.

local passes = require "espquant.passes"

-- Passes by name, and forms of ours with a point in front. A form that makes what another reads comes before it.
local ORDER = {
  "extract_constant_to_initializer", "eliminate_identity", "eliminate_nop_dropout", "fold_shapes", "fold_constants",
  ".opset", "raise_opset", "eliminate_nop_cast",
  "fuse_layer_normalization", "fuse_rms_normalization", "fuse_lp_normalization", "fuse_swish", "fuse_gelu",
  "fuse_bn_into_conv", "fuse_bn_into_conv_transpose", "fuse_add_bias_into_conv", "fuse_matmul_add_bias_into_gemm",
  "fuse_bn_into_gemm", "replace_bn_with_conv", ".batchnorm", ".window", ".deconv", ".group", ".gemm", ".sum", ".pool",
  ".move", ".slope", ".recurrent", "eliminate_deadend", "eliminate_unused_initializer", ".constants",
  "set_unique_name_for_nodes",
}

local MOST_ROUNDS = 20

local function find(name)
  if name:sub(1, 1) == "." then return require("espquant.quant.v3.forms." .. name:sub(2)) end
  return passes.get(name)
end

-- One round; returns the number of changes, or nil, message, code.
local function apply_all(graph)
  local total = 0
  for _, name in ipairs(ORDER) do
    local count = find(name):apply(graph)
    total = total + count
    -- What does not fit is told by the check, node by node.
    if count > 0 then graph:infer_shapes() end
  end
  return total
end

--- A new graph, or nil, message, code. The graph that is given is not changed.
return function(graph)
  local copy, message, code = graph:clone()
  if not copy then return nil, message, code end
  copy:infer_shapes()
  local rounds = 0
  repeat rounds = rounds + 1 until apply_all(copy) == 0 or rounds == MOST_ROUNDS
  return copy
end
