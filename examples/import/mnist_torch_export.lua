--- The two files of mnist_torch_export.py on their way to an ESP32-S3:
--- espquant examples/import/mnist_torch_export.lua [FOLDER]
local pipeline = dofile((arg[0]:match "^(.*/)" or "./") .. "pipeline.lua")

-- Both were exported with a batch of 10, which optimize_fp_model makes dynamic. The second has its weights in a file
-- beside it, which is found by itself.
for _, model in ipairs { "mnist_torch_script.onnx", "mnist_torch_dynamo.onnx" } do
  pipeline { model = model, shape = { 1, 28, 28 }, also = { "cut_final_softmax", "split_clip" } }
end
