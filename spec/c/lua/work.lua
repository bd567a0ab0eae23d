-- What every state of test_states.c does: a model from its file to integers, with two worker threads. Returns a text
-- that must be the same each time.
local core = require "espquant.core"
local espquant = require "espquant"

local model = espquant.optimizer.optimize((assert(espquant.onnx.load "examples/mnist.onnx")))
local file = "examples/data/mnist/test-images-idx3-ubyte.gz"
local images = assert(espquant.dataset(file, { scale = 1 / 256, shape = { 1, 28, 28 } })):tensor():slice(1, 12)

local CONFIGURATIONS = {
  { bits = "int8", granularity = "per-channel", method = "entropy" },
  { bits = "int16", granularity = "per-tensor", method = "minmax" },
  { bits = "int8", runtime = "v3" },
}

local parts = {}
for _, o in ipairs(CONFIGURATIONS) do
  o.threads = 2
  local calib = espquant.Calibrator(o)
  calib.log = function() end
  local t = assert(calib:measure_table(model, images))
  parts[#parts + 1] = t:summary()
  o.method = nil
  local eva = espquant.Evaluator(o)
  eva:generate_quantized_model(model, t)
  for _, output in ipairs(eva:evaluate_quantized_model(images, true)) do
    parts[#parts + 1] = core.sha256(output:tobytes())
  end
end
return table.concat(parts, "\n")
