--- The Evaluator: what the chip computes, on this machine.
---
---     local eva = espquant.Evaluator("int8", "per-channel", "esp32s3")
---     eva:generate_quantized_model(model, "calib.pickle")
---     local outputs, names = eva:evaluate_quantized_model(images, true)     -- true: as floats
---
--- By name: Evaluator{bits =, granularity =, chip =, mode =, runtime =, accumulator =, threads =, isa =, outputs =};
--- `outputs` names the tensors to return instead of the graph's outputs. mode "chip" runs the integer kernels;
--- "original" the float rewrite that reproduces the original tool's figures. accumulator "lanes" lets sums saturate at
--- every step as on the ESP32-S3 (docs/accumulator.md), "exact", the default, does not. For ESP-DL v3:
--- Evaluator{bits =, runtime = "v3", chip =, accumulator =, threads =, isa =, outputs =, runtime_version =}; with a
--- version such as "3.3.9" what that ESP-DL's kernels compute, also where its quantizer simulates something else
--- (docs/v3.md). Methods raise error objects (`espquant.errors`) for what is wrong with models, tables and data; wrong
--- options and calls out of order are misuse.

local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local layer_report = require "espquant.layer_report"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"

local Evaluator = { __name = "espquant.Evaluator" }
Evaluator.__index = Evaluator

local OPTIONS = { "bits", "granularity", "chip" }
local MORE = { "mode", "runtime", "runtime_version", "accumulator", "threads", "isa", "outputs" }

-- What is computed, by runtime: check, notes, describe, graph, form and to_float of each.
local SIMULATIONS = {
  v1 = require "espquant.evaluation.v1",
  v3 = require "espquant.evaluation.v3",
}

--- A new Evaluator. bits "int8" or "int16", granularity "per-tensor" or "per-channel", chip "esp32s3".
local function new(...)
  local self = quant.options.parse({ ... }, OPTIONS, MORE)
  self.quant_bit, self.providers = self.bits, { "CPUExecutionProvider" }
  self.simulation = SIMULATIONS[self.runtime]
  if self.runtime == "v1" then quant.types.attributes(self, "evaluator") end
  return setmetatable(self, Evaluator)
end

function Evaluator:__tostring()
  return ("Evaluator: %s%s"):format(self.simulation.describe(self),
    self.exec and (", with a model of %d nodes"):format(#self.graph) or "")
end

--- Chooses the chip; raises for others than those documented.
function Evaluator:set_target_chip(chip)
  quant.options.check("chip", chip, self.runtime)
  quant.options.check_accumulator { accumulator = self.accumulator, chip = chip }
  self.chip = chip
end

--- Stores the list of execution providers. There is one, the CPU; others raise when data is run.
function Evaluator:set_providers(providers)
  self.providers = quant.options.check_providers(providers)
end

--- As the Calibrator's: can the model be simulated?
function Evaluator:check_model(model)
  local ok, message, code, problems = self.simulation.check(self, model)
  if not ok and self.mode == "original" then errors.raise(code, message, problems) end
  return ok and 0 or -1, problems or {}, self.simulation.notes(self, model)
end

--- Prepares the integer model. `table` is a path or a qtable. Raises an error object; then no model is prepared.
function Evaluator:generate_quantized_model(model, table)
  if self.exec then self.exec:close() end
  self.exec, self.graph, self.table, self.model = nil, nil, nil, nil
  local t = qtable.is(table) and table or errors.check(qtable.load(table))
  errors.check(self.simulation.check(self, model, t))
  local graph, all = self.simulation.graph(self, model, t)
  local names = self.outputs or all
  self.exec = errors.check(core.executor(graph, { threads = self.threads, isa = self.isa, outputs = names }))
  self.graph, self.table, self.model = graph, t, model
end

-- --- running ------------------------------------------------------------------------------------------------------

-- What the executor takes: one float32 tensor, or a list of one for each input.
local function gather(model, images)
  local inputs = model.inputs
  if type(images) == "userdata" and #inputs == 1 and images.dtype == "float32"
    and images.rank == #(inputs[1].shape or images.shape) then
    return images
  end
  if type(images) == "table" and #images == #inputs and #inputs > 1 then return images end
  local columns = {}
  for batch in errors.check(dataset.of(images, model)):batches() do
    for k, tensor in ipairs(type(batch) == "table" and batch or { batch }) do
      columns[k] = columns[k] or {}
      table.insert(columns[k], tensor)
    end
  end
  for k, column in ipairs(columns) do columns[k] = #column > 1 and errors.check(core.concat(column, 0)) or column[1] end
  return #columns == 1 and columns[1] or columns
end

--- Runs images through the integer model: a tensor with N first, or whatever a dataset can be; for several inputs a
--- list of one tensor for each, or a table by name. Returns the list of output tensors and the list of their names:
--- integers, or floats when `as_float` is true (in "original" mode per channel too, where the original fails). Raises.
function Evaluator:evaluate_quantized_model(images, as_float)
  if not self.exec then error("call generate_quantized_model before evaluate_quantized_model", 2) end
  errors.check(quant.options.available(self.providers))
  local outputs, names = errors.check(self.exec:run(gather(self.model, images)))
  if as_float then
    for i, tensor in ipairs(outputs) do outputs[i] = self.simulation.to_float(self, tensor, names[i]) end
  end
  return outputs, names
end

--- The layers whose sums can leave the ESP32-S3's lanes, whatever the accumulator: a list in graph order of { layer,
--- op, output, saturating, channels } (`espquant.quant.lanes`); an empty one for other chips and in "original" mode.
function Evaluator:saturating_layers()
  if not self.exec then error("call generate_quantized_model before saturating_layers", 2) end
  return self.chip == "esp32s3" and self.mode ~= "original" and quant.lanes.of(self.graph) or {}
end

--- How far each layer is from the float model's, over a dataset of any size: a list of rows in graph order, which
--- prints as a table. A row has layer, op, output (node, operator, tensor), exponent (nil: the scale is no power of
--- two, or the tensor float32), snr (signal-to-noise ratio in dB; math.huge without any error), saturated (share of the
--- elements at an end of the range) and max_error (largest absolute difference). Raises.
function Evaluator:layer_report(images)
  if not self.exec then error("call generate_quantized_model before layer_report", 2) end
  errors.check(quant.options.available(self.providers))
  return layer_report(self, images, self.simulation)
end

--- The name that the original has misspelt.
Evaluator.evalute_quantized_model = Evaluator.evaluate_quantized_model

return new
