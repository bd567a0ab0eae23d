--- Cases of ONNX's backend tests that are in scope of spec/onnx_backend_spec.lua and do not pass, each with the reason.
return {
  ["node/test_averagepool_3d_default"] =
    "AveragePool -> 'y': input 0 'x' has shape 1x3x32x32x32: windows over three or more axes are not supported, only (N,C,L) and (N,C,H,W)",
  ["node/test_batchnorm_epsilon_training_mode"] =
    "BatchNormalization -> 'y': training_mode is on; export the model for inference",
  ["node/test_batchnorm_example_training_mode"] =
    "BatchNormalization -> 'y': training_mode is on; export the model for inference",
  ["node/test_cast_BFLOAT16_to_FLOAT"] =
    "graph input 'input' has elements of type bfloat16 (16), which is not supported",
  ["node/test_cast_FLOAT_to_BFLOAT16"] =
    "graph output 'output' has elements of type bfloat16 (16), which is not supported",
  ["node/test_cast_FLOAT_to_STRING"] =
    "graph output 'output' has elements of type string (8), which is not supported",
  ["node/test_cast_STRING_to_FLOAT"] =
    "graph input 'input' has elements of type string (8), which is not supported",
  ["node/test_castlike_BFLOAT16_to_FLOAT_expanded"] =
    "graph input 'input' has elements of type bfloat16 (16), which is not supported",
  ["node/test_castlike_FLOAT_to_BFLOAT16_expanded"] =
    "graph input 'like' has elements of type bfloat16 (16), which is not supported",
  ["node/test_castlike_FLOAT_to_STRING_expanded"] =
    "graph input 'like' has elements of type string (8), which is not supported",
  ["node/test_castlike_STRING_to_FLOAT_expanded"] =
    "graph input 'input' has elements of type string (8), which is not supported",
  ["node/test_elu"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_elu_default"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_elu_example"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_globalaveragepool"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_globalaveragepool_precomputed"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_globalmaxpool"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_globalmaxpool_precomputed"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_hardsigmoid"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_hardsigmoid_default"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_hardsigmoid_example"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_identity_opt"] =
    "graph input 'opt_in' is an optional: only tensors are supported",
  ["node/test_identity_sequence"] =
    "graph input 'x' is a sequence: only tensors are supported",
  ["node/test_maxpool_2d_uint8"] =
    "MaxPool -> 'y': input 0 'x' has type uint8, expected float32; export the model in float32",
  ["node/test_maxpool_3d_default"] =
    "MaxPool -> 'y': input 0 'x' has shape 1x3x32x32x32: windows over three or more axes are not supported, only (N,C,L) and (N,C,H,W)",
  ["node/test_maxpool_with_argmax_2d_precomputed_pads"] =
    "MaxPool -> 'y': its second output, Indices, is not computed; remove it",
  ["node/test_maxpool_with_argmax_2d_precomputed_strides"] =
    "MaxPool -> 'y': its second output, Indices, is not computed; remove it",
  ["node/test_not_2d"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_not_3d"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_not_4d"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_resize_downsample_scales_cubic"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_downsample_scales_cubic_A_n0p5_exclude_outside"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_downsample_scales_cubic_align_corners"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_downsample_scales_linear_align_corners"] =
    "output 1: element 1 is 4.0, expected 3.1428570747375",
  ["node/test_resize_downsample_sizes_cubic"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_downsample_sizes_nearest_tf_half_pixel_for_nn"] =
    "Resize -> 'Y': coordinate_transformation_mode is 'tf_half_pixel_for_nn', which ONNX does not have",
  ["node/test_resize_tf_crop_and_resize"] =
    "Resize -> 'Y': this coordinate_transformation_mode is not supported; use half_pixel, pytorch_half_pixel, align_corners or asymmetric",
  ["node/test_resize_upsample_scales_cubic"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_upsample_scales_cubic_A_n0p5_exclude_outside"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_upsample_scales_cubic_align_corners"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_upsample_scales_cubic_asymmetric"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_resize_upsample_sizes_cubic"] =
    "Resize -> 'Y': mode 'cubic' is not supported; use nearest or linear",
  ["node/test_softplus"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_softplus_example"] =
    "opset version is 1, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["node/test_training_dropout"] =
    "Dropout -> 'y': it is in training mode; export the model for inference",
  ["node/test_training_dropout_default"] =
    "Dropout -> 'y': it is in training mode; export the model for inference",
  ["node/test_training_dropout_default_mask"] =
    "Dropout -> 'y': it is in training mode; export the model for inference",
  ["node/test_training_dropout_mask"] =
    "Dropout -> 'y': it is in training mode; export the model for inference",
  ["node/test_training_dropout_zero_ratio"] =
    "Dropout -> 'y': it is in training mode; export the model for inference",
  ["node/test_training_dropout_zero_ratio_mask"] =
    "Dropout -> 'y': it is in training mode; export the model for inference",
  ["pytorch-converted/test_AvgPool1d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_AvgPool1d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_AvgPool2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_AvgPool2d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_AvgPool3d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_AvgPool3d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_AvgPool3d_stride1_pad0_gpu_input"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_BatchNorm1d_3d_input_eval"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_BatchNorm2d_eval"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_BatchNorm2d_momentum_eval"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_BatchNorm3d_eval"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_BatchNorm3d_momentum_eval"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_ConstantPad2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_dilated"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_groups"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_pad1"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_pad1size1"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_pad2"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_pad2size1"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv1d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_depthwise"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_depthwise_padded"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_depthwise_strided"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_depthwise_with_multiplier"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_dilated"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_groups"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_groups_thnn"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_no_bias"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_padding"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv2d_strided"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d_dilated"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d_dilated_strided"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d_groups"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d_no_bias"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Conv3d_stride_padding"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_ELU"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_LeakyReLU"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_LeakyReLU_with_negval"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Linear"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Linear_no_bias"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_MaxPool1d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_MaxPool1d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_MaxPool2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_MaxPool3d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_MaxPool3d_stride"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_MaxPool3d_stride_padding"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PReLU_1d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PReLU_1d_multiparam"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PReLU_2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PReLU_2d_multiparam"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PReLU_3d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PReLU_3d_multiparam"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PixelShuffle"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_PoissonNLLLLoss_no_reduce"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_ReLU"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_ReflectionPad2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_ReplicationPad2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Sigmoid"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Softmax"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Softmin"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Softplus"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Softsign"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_Tanh"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_ZeroPad2d"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_softmax_functional_dim3"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-converted/test_softmax_lastdim"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_add_broadcast"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_add_size1_broadcast"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_add_size1_right_broadcast"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_add_size1_singleton_broadcast"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_addconstant"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_addmm"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_basic"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_clip"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_concat2"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_conv"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_exp"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_flatten"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_index"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_max"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_maxpool"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_min"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_mm"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_non_float_params"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_pad"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_params"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_permute2"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_pow"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_sqrt"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_symbolic_override_nested"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
  ["pytorch-operator/test_operator_view"] =
    "opset version is 6, expected 7 to 27 (before 7, Add and Mul broadcast by attributes)",
}
