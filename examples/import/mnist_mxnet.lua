--- The model of mnist_mxnet.py on its way to an ESP32-S3: espquant examples/import/mnist_mxnet.lua [FOLDER]
local pipeline = dofile((arg[0]:match "^(.*/)" or "./") .. "pipeline.lua")

-- The parameters, listed as inputs in the file, are read as constants; BatchNormalization is folded; the Identity was a
-- Dropout. None of them needs a word here, but eliminate_identity is no pass of the original toolkit.
pipeline { model = "mnist_mxnet.onnx", shape = { 1, 28, 28 }, also = { "cut_final_softmax", "eliminate_identity" } }
