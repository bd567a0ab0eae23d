--- The Evaluator: what the chip computes, on this machine.
---
---     local eva = espquant.Evaluator("int8", "per-channel", "esp32s3")
---     eva:generate_quantized_model(model, "calib.pickle")
---     local outputs, names = eva:evaluate_quantized_model(images, true)     -- true: as floats
---
--- By name: Evaluator{bits =, granularity =, chip =, mode =, runtime =, threads =, isa =, outputs =}; `outputs` names
--- the tensors to return instead of the graph's outputs. mode "chip" runs the integer kernels; "original" the float
--- rewrite that reproduces the original tool's figures. Methods raise error objects (`espquant.errors`) for what is
--- wrong with models, tables and data; wrong options and calls out of order are misuse.

local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local layer_report = require "espquant.layer_report"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"

local Evaluator = { __name = "espquant.Evaluator" }
Evaluator.__index = Evaluator

local OPTIONS = { "bits", "granularity", "chip" }
local MORE = { "mode", "runtime", "threads", "isa", "outputs" }

--- A new Evaluator. bits "int8" or "int16", granularity "per-tensor" or "per-channel", chip "esp32s3".
local function new(...)
  local self = quant.options.parse({ ... }, OPTIONS, MORE)
  self.quant_bit, self.providers = self.bits, { "CPUExecutionProvider" }
  quant.types.attributes(self, "evaluator")
  return setmetatable(self, Evaluator)
end

function Evaluator:__tostring()
  return ("Evaluator: int%d %s on %s, %s mode%s"):format(self.bits, self.granularity, self.chip, self.mode,
    self.exec and (", with a model of %d nodes"):format(#self.graph) or "")
end

--- Chooses the chip; raises for others than those documented.
function Evaluator:set_target_chip(chip)
  self.chip = quant.options.check("chip", chip)
end

--- Stores the list of execution providers. There is one, the CPU; others raise when data is run.
function Evaluator:set_providers(providers)
  self.providers = quant.options.check_providers(providers)
end

--- As the Calibrator's: can the model be simulated?
function Evaluator:check_model(model)
  local ok, message, code, problems = quant.check(model, self.mode, "evaluator")
  if not ok and self.mode == "original" then errors.raise(code, message, problems) end
  return ok and 0 or -1, problems or {}, quant.notes(model, self.mode)
end

-- --- the table ----------------------------------------------------------------------------------------------------

local function is_float(value)
  return value and not (value.constant and value.dtype ~= "float32")
end

-- Calls need(value, node) for the tensors that the original wants an entry for: what arithmetic and activations read
-- and make, and the constants of Max and Min, which would be floats among integers.
local function each_needed(model, need)
  for node in model:nodes() do
    local v1 = core.op(node.op_type, node.domain).v1
    if v1.arithmetic or v1.activation then
      for _, input in ipairs(node.inputs) do
        if is_float(input) then need(input, node) end
      end
      need(node:output(1), node)
    elseif v1.aligns then
      for _, input in ipairs(node.inputs) do
        if input and input.constant then need(input, node) end
      end
    end
  end
end

-- What is missing of a tensor's entry, in the original's words; nil: nothing.
local function missing_entry(t, name)
  local entry = t:get(name)
  if not entry then return ("the quantization parameter for %s is not provided"):format(name) end
  local is_empty = entry.exponents and #entry.exponents == 0 and entry.kind ~= "shape"
  return is_empty and ("the provided quantization parameter for %s is empty"):format(name) or nil
end

-- "original" mode: all missing entries, each with the original's line and the node that wants it.
local function check_complete(model, t)
  local missing, seen = { exception = "ValueError" }, {}
  each_needed(model, function(value, node)
    local line = not seen[value.name] and missing_entry(t, value.name)
    seen[value.name] = true
    if not line then return end
    local is_operand = value.constant and core.op(node.op_type, node.domain).v1.aligns
    local remedy = is_operand and 'only mode "chip" quantizes constant operands' or "calibrate this model"
    missing[#missing + 1] = quant.problem(node, line .. "; " .. remedy)
  end)
  if #missing > 0 then errors.raise("format", "the provided quantization table is not complete", missing) end
end

local function coarsest(exponents)
  local e = exponents[1]
  for _, other in ipairs(exponents) do e = math.max(e, other) end
  return e
end

-- Width of a table that does not tell it: the exponents of its weights follow from their values, and tell. nil: they do
-- not. Original mode does not ask, since the original takes any table.
local function width_of(model, t)
  local votes = { [8] = 0, [16] = 0 }
  for node in model:nodes() do
    local op = core.op(node.op_type, node.domain)
    local weight = op.weight >= 0 and node:input(op.weight + 1)
    local entry = weight and t:get(weight.name)
    local e = entry and entry.exponents and coarsest(entry.exponents)
    for bits in pairs(votes) do
      if e and e == core.exponent_of_absmax(weight.constant:maxabs(), bits) then votes[bits] = votes[bits] + 1 end
    end
  end
  if (votes[8] == 0) == (votes[16] == 0) then return nil end
  return votes[8] > 0 and 8 or 16
end

local function check_facts(self, model, t)
  local facts = t.facts
  if #t.entries == 0 and self.mode == "original" then
    errors.raise("format", "the provided quantization table is empty", { exception = "ValueError" })
  end
  if (facts.runtime or self.runtime) ~= self.runtime then
    errors.raise("format", ("the table is for runtime %s, the evaluator for %s"):format(facts.runtime, self.runtime))
  end
  local bits = facts.bits or self.mode == "chip" and width_of(model, t) or self.bits
  if bits ~= self.bits then
    errors.raise("format", ("the table is for int%d, the evaluator for int%d"):format(bits, self.bits))
  end
  if (facts.granularity or self.granularity) ~= self.granularity then
    errors.raise("format", ("the table is %s, the evaluator %s"):format(facts.granularity, self.granularity))
  end
end

--- Prepares the integer model. `table` is a path or a qtable. Raises an error object; then no model is prepared.
function Evaluator:generate_quantized_model(model, table)
  if self.exec then self.exec:close() end
  self.exec, self.graph, self.table, self.model = nil, nil, nil, nil
  errors.check(quant.check(model, self.mode, "evaluator"))
  local t = qtable.is(table) and table or errors.check(qtable.load(table))
  check_facts(self, model, t)
  if self.mode == "original" then check_complete(model, t) end
  local rewrite = self.mode == "original" and quant.original or quant.apply
  local graph, all = errors.check(rewrite(model, t, self))
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

-- Integers times the scale of their tensor; the original's extra outputs have that of the tensor that they become.
local function to_float(self, tensor, name)
  local key = name:gsub("/QACC_shift1:0$", "")
  local scales = self.table:scales(key)
  if not scales then return tensor end
  if tensor.dtype == "float32" then return errors.check(tensor * scales[1]) end
  return errors.check(tensor:dequantize(self.table:exponent(key)))
end

--- Runs images through the integer model: a tensor with N first, or whatever a dataset can be; for several inputs a
--- list of one tensor for each, or a table by name. Returns the list of output tensors and the list of their names:
--- integers, or floats when `as_float` is true (in "original" mode per channel too, where the original fails). Raises.
function Evaluator:evaluate_quantized_model(images, as_float)
  if not self.exec then error("call generate_quantized_model before evaluate_quantized_model", 2) end
  errors.check(quant.options.available(self.providers))
  local outputs, names = errors.check(self.exec:run(gather(self.model, images)))
  if as_float then
    for i, tensor in ipairs(outputs) do outputs[i] = to_float(self, tensor, names[i]) end
  end
  return outputs, names
end

--- How far each layer is from the float model's, over a dataset of any size: a list of rows in graph order, which
--- prints as a table. A row has layer, op, output (node, operator, tensor), exponent (nil: the scale is no power of
--- two), snr (signal-to-noise ratio in dB; math.huge without any error), saturated (share of the elements at an end of
--- the range) and max_error (largest absolute difference). Raises.
function Evaluator:layer_report(images)
  if not self.exec then error("call generate_quantized_model before layer_report", 2) end
  errors.check(quant.options.available(self.providers))
  return layer_report(self, images, to_float)
end

--- The name that the original has misspelt.
Evaluator.evalute_quantized_model = Evaluator.evaluate_quantized_model

return new
