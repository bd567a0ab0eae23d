--- The two models of mnist_tf.py on their way to an ESP32-S3: espquant examples/import/mnist_tf.lua [FOLDER]
local pipeline = dofile((arg[0]:match "^(.*/)" or "./") .. "pipeline.lua")

-- MatMul and Add become Gemms. The Softmax at the end has no integer form: the logits become the output.
pipeline { model = "mnist_tf_dense.onnx", shape = { 28, 28 }, also = { "cut_final_softmax" } }

-- Images are [N,28,28,1], channels last, as Keras has them; Relu6 came out as a Clip.
pipeline { model = "mnist_tf_conv.onnx", shape = { 28, 28, 1 }, also = { "cut_final_softmax", "split_clip" } }
