--- THE ordered lists of passes. A pass that is not named here does not exist.

-- Marks those of optimize_fp_model, which are the original toolkit's, in its order.
local ORIGINAL = {}
local function original(name)
  ORIGINAL[#ORIGINAL + 1] = name
  return name
end

-- What `optimize` does without a list.
local ORDER = {
  "extract_constant_to_initializer",
  "eliminate_identity",
  "eliminate_nop_dropout",
  "fold_shapes",
  "fold_constants",
  "fold_one_hot",
  "eliminate_nop_cast",
  "eliminate_shape_gather",
  "eliminate_slice_after_shape",
  "eliminate_shape_op",
  "fuse_concat_into_reshape",
  "eliminate_consecutive_idempotent_ops",
  "eliminate_nop_reshape",
  "eliminate_nop_expand",
  "eliminate_nop_concat",
  "eliminate_nop_split",
  "eliminate_nop_with_unit",
  "eliminate_zero_initial_state",
  "eliminate_nop_monotone_argmax",
  "rewrite_where",
  "replace_dense_einsum",
  "replace_einsum_with_matmul",
  "fuse_consecutive_concats",
  "fuse_consecutive_log_softmax",
  "fuse_consecutive_reduce_unsqueeze",
  "fuse_consecutive_slices",
  "fuse_consecutive_squeezes",
  "fuse_consecutive_transposes",
  "fuse_consecutive_unsqueezes",
  "fuse_layer_normalization",
  "fuse_bn_of_own_statistics",
  "move_layer_normalization",
  "fuse_rms_normalization",
  "fuse_lp_normalization",
  "move_transposes",
  "fuse_transpose_into_flattened_gemm",
  "eliminate_reshapes_around_matmul",
  "fuse_reshapes",
  "replace_reduce_with_global_pool",
  "fuse_clips",
  "fuse_hard_sigmoid",
  "fuse_swish",
  "fuse_gelu",
  "fuse_softplus",
  original "fuse_bn_into_conv",
  "fuse_bn_into_conv_transpose",
  original "fuse_add_bias_into_conv",
  original "fuse_pad_into_conv",
  "fuse_pad_into_pool",
  original "fuse_matmul_add_bias_into_gemm",
  "fuse_matmul_add_bias_between_reshapes",
  original "fuse_transpose_into_gemm",
  original "eliminate_nop_flatten",
  original "eliminate_nop_pad",
  original "eliminate_nop_transpose",
  "eliminate_common_subexpression",
  "eliminate_deadend",
  original "eliminate_unused_initializer",
  original "eliminate_duplicate_initializer",
  original "name_fused_gemms",
  original "fuse_bn_into_gemm",
  "fuse_bn_into_matmul",
  "replace_bn_with_conv",
  "fuse_scale_into_conv",
  "fuse_scale_into_next_conv",
}

-- What a user must ask for by name: these change the outputs or names, take a form that not every chip wants, or bring
-- nothing here.
local ON_REQUEST = {
  "adjust_add",
  "cut_final_softmax",
  "equalize_weights",
  "nop",
  "raise_opset",
  "rename_input_output",
  "replace_matmul_with_gemm",
  "set_unique_name_for_nodes",
  "split_clip",
  "split_reduce",
}

-- What a pass on request has done, and these would undo.
local UNDONE_BY = { split_clip = { "fuse_clips" } }

-- Names that ONNX Optimizer knows and espquant refuses, with the reason.
local REFUSED = {
  adjust_slice_and_matmul = "it moves a Slice behind the MatMul, which then computes what is cut off",
  eliminate_if_with_const_cond = "reading a file puts the branch of a constant condition in place already",
  fuse_qkv = "it makes three matrix products one and a Split, which no chip computes faster",
  lift_lexical_references = "it prepares subgraphs for Caffe2; models that keep subgraphs are not optimized",
  rewrite_input_dtype = "it turns int64 inputs into int32; the inputs of a network to quantize are float32",
  split_init = "it cuts out what Caffe2 computes once; constants are computed when the graph is optimized",
  split_predict = "it cuts off what Caffe2 computes once; constants are computed when the graph is optimized",
}

local M = { order = ORDER, original = ORIGINAL, on_request = ON_REQUEST, refused = REFUSED, undone_by = UNDONE_BY }
local known = {}
for _, list in ipairs { ORDER, ON_REQUEST } do
  for _, name in ipairs(list) do known[name] = true end
end

--- The pass of that name, or nil.
function M.get(name)
  return known[name] and require("espquant.passes." .. name) or nil
end

return M
