--- The Evaluator: what the chip computes, on this machine.
---
---     local eva = espquant.Evaluator("int8", "per-channel", "esp32s3")
---     eva:generate_quantized_model(model, "calib.pickle")
---     local outputs, names = eva:evaluate_quantized_model(images, true)     -- true: as floats
---
--- By name: Evaluator{bits =, granularity =, chip =, mode =, runtime =, threads =, isa =, outputs =}; `outputs` names the
--- tensors to return instead of the graph's outputs. mode "chip" runs the integer kernels; "original" the float rewrite that
--- reproduces the original tool's figures. Methods raise error objects.

local core = require "espquant.core"
local errors = require "espquant.errors"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"

local Evaluator = { __name = "espquant.Evaluator" }
Evaluator.__index = Evaluator

local OPTIONS = { "bits", "granularity", "chip" }
local MORE = { "mode", "runtime", "threads", "isa", "outputs" }

--- A new Evaluator. bits "int8" or "int16", granularity "per-tensor" or "per-channel", chip "esp32s3".
local function new(...)
  local self = quant.options.parse({ ... }, OPTIONS, MORE)
  self.providers = { "CPUExecutionProvider" }
  return setmetatable(self, Evaluator)
end

function Evaluator:__tostring()
  return ("Evaluator: int%d %s on %s, %s mode%s"):format(self.bits, self.granularity, self.chip, self.mode,
    self.exec and ", with a model" or "")
end

--- Chooses the chip; raises for others than those documented.
function Evaluator:set_target_chip(chip)
  self.chip = quant.options.check("chip", chip)
end

--- Stores the list of execution providers; there is one.
function Evaluator:set_providers(providers)
  assert(type(providers) == "table", "set_providers: a list of names expected")
  self.providers = providers
end

--- 0 when the model can be simulated, else -1 and the list of reasons; in "original" mode a refusal raises.
function Evaluator:check_model(model)
  local ok, message, code, problems = quant.check(model, self.mode, "evaluator")
  if ok then return 0 end
  if self.mode == "original" then errors.raise(code, message, problems) end
  return -1, problems
end

-- The original looks for the entries of inputs and of what arithmetic and activations make, and lists what is missing.
local function check_complete(model, t)
  local missing = {}
  local function need(name)
    if not t:get(name) then missing[#missing + 1] = ("the quantization parameter for %s is not provided"):format(name) end
  end
  for _, input in ipairs(model.inputs) do need(input.name) end
  for node in model:nodes() do
    local op = core.op(node.op_type, node.domain)
    local v1 = op and op.v1 or {}
    if v1.arithmetic or v1.activation then
      for _, input in ipairs(node.inputs) do
        if input and input.constant and input.dtype == "float32" and node.op_type ~= "LeakyRelu" then need(input.name) end
      end
      need(node:output(1).name)
    end
  end
  if #missing > 0 then
    errors.raise("format", "the provided quantization table is not complete", missing)
  end
end

local function check_width(self, t)
  if t.facts.bits and t.facts.bits ~= self.bits then
    errors.raise("format", ("the table is for int%d, the evaluator for int%d"):format(t.facts.bits, self.bits))
  end
  if t.facts.granularity and t.facts.granularity ~= self.granularity then
    errors.raise("format", ("the table is %s, the evaluator %s"):format(t.facts.granularity, self.granularity))
  end
end

--- Prepares the integer model. `table` is a path or a qtable. Raises an error object.
function Evaluator:generate_quantized_model(model, table)
  errors.check(quant.check(model, self.mode, "evaluator"))
  local t = qtable.is(table) and table or errors.check(qtable.load(table))
  check_width(self, t)
  check_complete(model, t)
  local names = self.outputs
  if self.mode == "original" then
    local graph, all = errors.check(quant.original(model, t, self))
    self.graph, names = graph, names or all
  else
    self.graph = errors.check(quant.apply(model, t, self))
  end
  self.table = t
  self.exec = errors.check(core.executor(self.graph, { threads = self.threads, isa = self.isa, outputs = names }))
end

-- Integers times the scale of their tensor.
local function to_float(self, tensor, name)
  local e = self.table:exponent(name:gsub("/QACC_shift1:0$", ""))
  if not e then return tensor end
  if e == -math.huge then e = -1000 end
  if tensor.dtype == "float32" then return tensor * (2.0 ^ e) end
  return errors.check(tensor:dequantize(e))
end

--- Runs images (a float32 tensor, N first; a list of tensors for several inputs) through the integer model. Returns the
--- list of output tensors and the list of their names; integers, or floats when `as_float` is true. Raises.
function Evaluator:evaluate_quantized_model(images, as_float)
  if not self.exec then errors.raise("format", "call generate_quantized_model before evaluate_quantized_model") end
  local outputs, names = errors.check(self.exec:run(images))
  if as_float then
    for i, tensor in ipairs(outputs) do outputs[i] = to_float(self, tensor, names[i]) end
  end
  return outputs, names
end

--- The name that the original has misspelt.
Evaluator.evalute_quantized_model = Evaluator.evaluate_quantized_model

return new
