-- A model, through shape inference, the optimizer, calibration and simulation, with small limits.
local core = require "espquant.core"
local espquant = require "espquant"

local LIMITS = { nodes = 200, inputs = 64, elements = 1 << 16, bytes = 1 << 22, depth = 16 }
local OPTIONS = { { bits = "int8", granularity = "per-tensor", method = "minmax" }, { bits = "int8", runtime = "v3" } }

-- Zeros for one image; nil where an input is too large, or of no known shape.
local function images_of(model)
  local list = {}
  for i, input in ipairs(model.inputs) do
    local shape, count = {}, 1
    for k, d in ipairs(input.shape or {}) do
      shape[k] = math.type(d) == "integer" and d or 1
      count = count * shape[k]
      if shape[k] < 0 or count > 1 << 14 then return nil end
    end
    if not input.shape or input.dtype ~= "float32" then return nil end
    list[i] = assert(core.tensor(shape, "float32")) + 0.5
  end
  return #list == 1 and list[1] or #list > 1 and list or nil
end

return function(bytes)
  local model = core.onnx_decode(bytes, nil, { limits = LIMITS })
  if not model or not model:infer_shapes() or not model:check() then return end
  local ok, graph = pcall(espquant.optimizer.optimize, model)
  if not ok then
    if type(graph) ~= "table" then error(graph, 0) end
    return
  end
  local images = images_of(graph)
  if not images then return end
  for _, options in ipairs(OPTIONS) do
    options.threads, options.log = 1, function() end
    local t = espquant.Calibrator(options):measure_table(graph, images)
    if t then
      local evaluator = espquant.Evaluator { bits = options.bits, granularity = options.granularity,
        runtime = options.runtime, threads = 1 }
      evaluator:generate_quantized_model(graph, t)
      evaluator:evaluate_quantized_model(images)
    end
  end
end
