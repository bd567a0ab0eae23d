--- Handwritten digits for ESP-DL v3: the float model becomes mnist_s3.espdl and mnist_p4.espdl, with a test inside.
--- espquant examples/espdl.lua [FOLDER]: the results go to FOLDER (default: build/espdl in the checkout).
local espquant, clock = require "espquant", require "espquant.core".clock
local here = arg[0]:match "^(.*/)" or "./"
local out = arg[1] or (here .. "../build/espdl"):gsub("^%./", ""):gsub("[^/.][^/]*/%.%./", "")
assert(os.execute("mkdir -p '" .. out .. "'"))

local function digits(name, options) return assert(espquant.dataset(here .. "data/mnist/" .. name, options)) end
local calib_images = digits("calib-images-idx3-ubyte.gz", { scale = 1 / 256 })
local test_images = digits("test-images-idx3-ubyte.gz", { scale = 1 / 256, shape = { 1, 28, 28 } }):tensor()
local labels = digits("test-labels-idx1-ubyte.gz"):raw():astype "int64"
local model = assert(espquant.onnx.load(espquant.optimizer.optimize_fp_model(here .. "mnist.onnx",
  out .. "/mnist_optimized.onnx")))

local rows, float = { ("%-22s %8s %10s %9s"):format("configuration", "accuracy", "agreement", "images/s") }, nil
local function equal(a, b) return 100 - 100 * (select(3, a:equal(b)) or 0) / #a end -- per cent
local function measure(name, run)
  run() -- the first run prepares its buffers
  local start = clock()
  local classes = assert(run())[1]:argmax()
  local speed = #classes / (clock() - start)
  float = float or classes
  rows[#rows + 1] = ("%-22s %6.2f %% %8.2f %% %9.0f"):format(name, equal(classes, labels), equal(classes, float), speed)
end

-- The table of these options, as JSON; its integers are measured.
local function quantize(name, options, simulation)
  local calib, path = espquant.Calibrator(options), out .. "/" .. name:gsub(" ", "_") .. ".json"
  local t = calib:generate_quantization_table(model, calib_images, path)
  simulation.bits, simulation.runtime = options.bits, options.runtime
  local eva = espquant.Evaluator(simulation)
  eva:generate_quantized_model(model, t)
  measure(name, function() return eva:evaluate_quantized_model(test_images) end)
  return calib, t
end

measure("float", function() return model:run(test_images) end)
quantize("v1 int8 esp32s3", { bits = "int8", granularity = "per-channel" }, { granularity = "per-channel" })
for _, bits in ipairs { "int8", "int16" } do
  for chip, file in ("esp32s3 mnist_s3 esp32p4 mnist_p4"):gmatch "(%w+) (%S+)" do
    local options = { bits = bits, runtime = "v3", target = chip }
    local calib, t = quantize(("v3 %s %s"):format(bits, chip), options, { chip = chip })
    if bits == "int8" then
      local path = ("%s/%s.espdl"):format(out, file)
      calib:export_espdl(model, t, path, { test_input = test_images:slice(1, 1), metadata = { model = "digits" } })
      print(path .. ": see it with espquant info, run its test with espquant run")
    end
  end
end
print("\n" .. table.concat(rows, "\n"))
