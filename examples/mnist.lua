--- Handwritten digits: a float model becomes coefficients for an ESP32-S3. The twin of the original toolkit's example.
--- espquant examples/mnist.lua [FOLDER]: the results go to FOLDER (default: build/mnist in the checkout).
local espquant, clock = require "espquant", require "espquant.core".clock
local here = arg[0]:match "^(.*/)" or "./"
local out = arg[1] or (here .. "../build/mnist"):gsub("^%./", ""):gsub("[^/.][^/]*/%.%./", "")
assert(os.execute("mkdir -p '" .. out .. "'"))

local function digits(name, options) return assert(espquant.dataset(here .. "data/mnist/" .. name, options)) end
local calib_images = digits("calib-images-idx3-ubyte.gz", { scale = 1 / 256 })
local test_images = digits("test-images-idx3-ubyte.gz", { scale = 1 / 256, shape = { 1, 28, 28 } }):tensor()
local labels = digits("test-labels-idx1-ubyte.gz"):raw():astype "int64"
local path = espquant.optimizer.optimize_fp_model(here .. "mnist.onnx", out .. "/mnist_optimized.onnx")
local model = assert(espquant.onnx.load(path))

local rows, float = { ("%-33s %8s %10s %9s"):format("configuration", "accuracy", "agreement", "images/s") }, nil
local function equal(a, b) return 100 - 100 * (select(3, a:equal(b)) or 0) / #a end -- per cent
local function measure(name, run)
  run() -- the first run prepares its buffers
  local start = clock()
  local classes = assert(run())[1]:argmax()
  local speed = #classes / (clock() - start)
  float = float or classes
  rows[#rows + 1] = ("%-33s %6.2f %% %8.2f %% %9.0f"):format(name, equal(classes, labels), equal(classes, float), speed)
end
measure("float", function() return model:run(test_images) end)
for bits, granularity, method in ([[ int8 per-tensor minmax, int8 per-tensor entropy, int8 per-channel minmax,
    int8 per-channel entropy, int16 per-tensor minmax ]]):gmatch "(%w+) ([%w-]+) (%w+)" do
  local name = bits .. " " .. granularity .. " " .. method
  local pickle, cpp = out .. "/" .. name:gsub(" ", "_") .. ".pickle", "mnist_" .. name:gsub("[ -]", "_")
  local calib = espquant.Calibrator(bits, granularity, method)
  print("\n" .. name .. "\n" .. calib:generate_quantization_table(model, calib_images, pickle):summary())
  calib:export_coefficient_to_cpp(model, pickle, "esp32s3", out, cpp)
  for _, mode in ipairs { "chip", "original" } do
    local eva = espquant.Evaluator { bits = bits, granularity = granularity, mode = mode }
    eva:generate_quantized_model(model, pickle)
    measure(name .. " " .. mode, function() return eva:evaluate_quantized_model(test_images) end)
  end
end
print("\n" .. table.concat(rows, "\n"))
