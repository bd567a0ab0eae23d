--- THE ordered lists of passes. A pass that is not named here does not exist.
local ORDER = {
  "eliminate_identity",
  "eliminate_nop_dropout",
  "fold_shapes",
  "fold_constants",
  "fuse_bn_into_conv",
  "fuse_add_bias_into_conv",
  "fuse_scale_into_conv",
  "fuse_pad_into_conv",
  "fuse_matmul_add_bias_into_gemm",
  "fuse_transpose_into_gemm",
  "eliminate_nop_flatten",
  "eliminate_nop_pad",
  "eliminate_nop_transpose",
  "eliminate_deadend",
  "eliminate_unused_initializer",
  "eliminate_duplicate_initializer",
  "name_fused_gemms",
  "fuse_bn_into_gemm",
}

-- What a user must ask for by name: these change the outputs, or take a form that not every chip wants.
local ON_REQUEST = {
  "cut_final_softmax",
  "split_clip",
}

local M = { order = ORDER, on_request = ON_REQUEST }
local known = {}
for _, list in ipairs { ORDER, ON_REQUEST } do
  for _, name in ipairs(list) do known[name] = true end
end

--- The pass of that name, or nil.
function M.get(name)
  return known[name] and require("espquant.passes." .. name) or nil
end

return M
