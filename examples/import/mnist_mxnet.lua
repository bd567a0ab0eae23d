--- The two files of mnist_mxnet.py on their way to an ESP32-S3: espquant examples/import/mnist_mxnet.lua [FOLDER]
local pipeline = dofile((arg[0]:match "^(.*/)" or "./") .. "pipeline.lua")

-- The parameters, listed as inputs in the files, are read as constants; BatchNormalization is folded. A Dropout is left
-- in the one file, an Identity in the other, which the original toolkit's passes keep; the second is a batch of 1.
for _, model in ipairs { "mnist_mxnet.onnx", "mnist_mxnet_ir3.onnx" } do
  local also = { "cut_final_softmax", "eliminate_identity", "eliminate_nop_dropout" }
  pipeline { model = model, shape = { 1, 28, 28 }, also = also }
end
