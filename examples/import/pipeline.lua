--- What the Lua scripts of this folder share: a float model on its whole way, with every step told.
---
---     pipeline { model = "mnist_tf_conv.onnx", shape = { 28, 28, 1 }, also = { "cut_final_softmax", "split_clip" } }
---
--- `shape` is that of one image in the model's input; `also` names the passes that only run on request. Results go to
--- the folder given as the script's argument (default: build/import in the checkout).
local espquant = require "espquant"
local optimizer = espquant.optimizer

local here = arg[0]:match "^(.*/)" or "./"
local data, out = here .. "../data/mnist/", arg[1] or here .. "../../build/import"

local function digits(name, shape)
  return assert(espquant.dataset(data .. name .. "-images-idx3-ubyte.gz", { scale = 1 / 256, shape = shape }))
end

-- What stands in the way, a line each; check_model of "chip" mode raises nothing.
local function check(title, model)
  local answer, reasons = espquant.Calibrator("int8"):check_model(model)
  print(title .. (answer == 0 and " can be quantized" or " cannot be quantized:"))
  for _, reason in ipairs(reasons or {}) do print("  " .. reason.message) end
end

-- The largest difference of the logits before and after the optimizer, relative to the largest logit. The passes of
-- `also` are applied to the original as well, since they change what the output is.
local function difference(model, optimized, also, images)
  local before = optimizer.optimize(optimizer.convert_model_batch_to_dynamic(model), also)
  local a, b = assert(before:run(images))[1], assert(optimized:run(images))[1]
  return (a - b):maxabs() / a:maxabs()
end

local function accuracy(classes, labels) return 100 - 100 * (select(3, classes:equal(labels)) or 0) / #labels end

local function print_warning(text)
  if text:match "^warning" then print("  " .. text) end
end

local function quantize(model, calib_images, name, bits, granularity)
  local base = ("%s/%s_%s_%s"):format(out, name, bits, granularity:gsub("-", "_"))
  local calib = espquant.Calibrator { bits = bits, granularity = granularity, log = print_warning }
  calib:generate_quantization_table(model, calib_images, base .. ".pickle")
  calib:export_coefficient_to_cpp(model, base .. ".pickle", "esp32s3", out, base:match "[^/]+$")
  local eva = espquant.Evaluator(bits, granularity, "esp32s3")
  eva:generate_quantized_model(model, base .. ".pickle")
  return eva
end

return function(options)
  assert(os.execute("mkdir -p '" .. out .. "'"))
  local name = options.model:match "^(.*)%.onnx$"
  local images = digits("test", options.shape):tensor()
  local labels = assert(espquant.dataset(data .. "test-labels-idx1-ubyte.gz")):raw():astype "int64"
  local original = assert(espquant.onnx.load(here .. options.model))
  local path, notes = optimizer.optimize_fp_model(here .. options.model, out .. "/" .. options.model, options.also)
  local model = assert(espquant.onnx.load(path))

  print(("\n%s: %d nodes, %d optimized"):format(options.model, #original, #model))
  for _, note in ipairs(notes) do print("note: " .. note) end
  check("the file", original)
  check("the optimized model", model)
  print(("largest difference to the original: %.1e"):format(difference(original, model, options.also, images)))
  print(("%-20s %6.2f %%"):format("float", accuracy(assert(model:run(images))[1]:argmax(), labels)))
  for bits, granularity in ("int8 per-tensor, int8 per-channel, int16 per-tensor"):gmatch "(%w+) ([%w-]+)" do
    local eva = quantize(model, digits("calib", options.shape), name, bits, granularity)
    local classes = eva:evaluate_quantized_model(images)[1]:argmax()
    print(("%-20s %6.2f %%"):format(bits .. " " .. granularity, accuracy(classes, labels)))
  end
end
