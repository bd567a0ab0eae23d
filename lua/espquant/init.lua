--- espquant: from a float ONNX network to the integer networks of Espressif chips.
---
---     local espquant = require "espquant"
---     local model = espquant.onnx.load "mnist.onnx"
---     print(espquant.optimizer.optimize(model))
---
--- A field is loaded when it is first asked for, so that start-up costs nothing; no global is set.

local M = {}

-- Field -> module that returns it.
local MODULES = {
  Calibrator = "espquant.calibrator",
  Evaluator = "espquant.evaluator",
  auto = "espquant.auto",
  codegen = "espquant.export.codegen",
  convert = "espquant.export.convert",
  dataset = "espquant.dataset",
  errors = "espquant.errors",
  espdl = "espquant.espdl",
  npy = "espquant.npy",
  onnx = "espquant.onnx",
  optimizer = "espquant.optimizer",
  qtable = "espquant.qtable",
  version = "espquant.version",
}

-- Field -> function that makes it.
local MAKERS = {}

--- Makes an empty graph: espquant.graph{name =, opset =, ir_version =}.
function MAKERS.graph()
  require "espquant.model" -- the methods of models that are written in Lua
  return require "espquant.core".graph
end

--- espquant.tensor{{1, 2}, {3, 4}} makes a tensor of numbers (then dtype and shape, if wanted); espquant.tensor.zeros,
--- frombytes and concat make others.
function MAKERS.tensor()
  local core = require "espquant.core"
  local constructors = {
    concat = core.concat, from = core.tensor_from, frombytes = core.tensor_frombytes, zeros = core.tensor,
  }
  return setmetatable(constructors, {
    __call = function(_, ...) return core.tensor_from(...) end,
    __doc = "Makes tensors: espquant.tensor{{1, 2}, {3, 4}}; also zeros, frombytes, concat.", -- for help(x)
  })
end

--- espquant.set_isa "avx2" pins the instruction set of the float kernels ("sse41", "avx2" or "avx512") for the process,
--- so that another machine gives the same bits. Before anything ran; raises an error object where that is not possible.
function MAKERS.set_isa()
  --- Pins the instruction set of the float kernels, "sse41", "avx2" or "avx512", before anything ran.
  return function(name) require "espquant.errors".check(require "espquant.core".set_isa(name)) end
end

local function load_field(self, name)
  local field
  if MODULES[name] then
    field = require(MODULES[name])
  elseif MAKERS[name] then
    field = MAKERS[name]()
  end
  rawset(self, name, field)
  return field
end

-- Names for completion, which must not load anything.
local names = {}
for name in pairs(MODULES) do names[name] = true end
for name in pairs(MAKERS) do names[name] = true end

return setmetatable(M, { __index = load_field, __name = "espquant", __fields = names })
