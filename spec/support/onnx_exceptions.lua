--- Cases of ONNX's backend tests that are in scope of spec/onnx_backend_spec.lua and do not pass, each with the reason.
return {
  ["node/test_batchnorm_epsilon_training_mode"] =
    "BatchNormalization -> 'y': training_mode is on; export the model for inference",
  ["node/test_batchnorm_example_training_mode"] =
    "BatchNormalization -> 'y': training_mode is on; export the model for inference",
  ["node/test_cast_BFLOAT16_to_FLOAT"] =
    "input 'input' is uint16, expected float32",
  ["node/test_cast_FLOAT_to_BFLOAT16"] =
    "Cast -> 'output': attribute 'to' is 16: tensors of that type are not supported",
  ["node/test_cast_FLOAT_to_STRING"] =
    "graph output 'output' has elements of type string (8), which is not supported",
  ["node/test_cast_STRING_to_FLOAT"] =
    "graph input 'input' has elements of type string (8), which is not supported",
  ["node/test_castlike_BFLOAT16_to_FLOAT_expanded"] =
    "input 'input' is uint16, expected float32",
  ["node/test_castlike_FLOAT_to_BFLOAT16_expanded"] =
    "Cast -> 'output': attribute 'to' is 16: tensors of that type are not supported",
  ["node/test_castlike_FLOAT_to_STRING_expanded"] =
    "graph input 'like' has elements of type string (8), which is not supported",
  ["node/test_castlike_STRING_to_FLOAT_expanded"] =
    "graph input 'input' has elements of type string (8), which is not supported",
  ["node/test_identity_opt"] =
    "graph input 'opt_in' is an optional: only tensors are supported",
  ["node/test_identity_sequence"] =
    "graph input 'x' is a sequence: only tensors are supported",
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
}
