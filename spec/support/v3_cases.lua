--- One-operator models for ESP-DL v3: what the specs quantize, simulate and write.
---
---     for _, case in ipairs(cases.LIST) do local graph = cases.model(case) ... end

local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

local M = {}

local X = { 1, 4, 6, 6 }

local function random(...)
  local shape = { ... }
  return function(b, name) return b.random(name, shape) end
end

local function ints(...)
  local list = { ... }
  return function(b, name) return b.integers(name, list) end
end

local function floats(...)
  local list = { ... }
  return function(b, name) return b.constant(name, core.tensor_from(list, "float32")) end
end

local function number(x)
  return function(b, name) return b.constant(name, core.tensor_from(x, "float32")) end
end

local function input(...)
  local shape = { ... }
  return function(b, name) return b.input(name, shape) end
end

-- { op_type, inputs behind x, attributes, shape = of x, lsb = most steps of the output that it may be off, file =
-- false: packed on the chip, in a way that is not read back }
M.LIST = {
  { "Conv", { random(5, 4, 3, 3), random(5) }, { pads = { 1, 1, 1, 1 } } },
  { "Conv", { random(4, 1, 3, 3) }, { group = 4 } },
  { "Conv", { random(6, 2, 3, 3), random(6) }, { group = 2 } },
  { "Conv", { random(8, 1, 3, 3) }, { group = 4 } },
  { "Conv", { random(5, 4, 3), random(5) }, { dilations = { 2 } }, shape = { 1, 4, 9 } },
  { "ConvTranspose", { random(4, 3, 3, 3), random(3) }, { strides = { 2, 2 }, output_padding = { 1, 1 } } },
  { "ConvTranspose", { random(4, 3, 3) }, { strides = { 2 } }, shape = { 1, 4, 9 } },
  { "Gemm", { random(5, 8), random(5) }, { transB = 1, alpha = 0.5 }, shape = { 1, 8 } },
  { "MatMul", { random(8, 5) }, shape = { 1, 3, 8 } },
  { "MatMul", { input(1, 8, 5) }, shape = { 1, 3, 8 } },
  { "MatMul", { input(1, 8, 20) }, shape = { 1, 3, 8 } }, { "MatMul", { input(1, 8, 16) }, shape = { 1, 3, 8 } },
  { "MatMul", { input(1, 2, 8, 35) }, shape = { 1, 2, 3, 8 } },
  { "MatMul", { input(1, 2, 8, 32) }, shape = { 1, 2, 3, 8 } },
  { "MatMul", { random(2, 8, 5) }, shape = { 1, 2, 3, 8 } },
  { "MatMul", { input(1, 2, 8, 5) }, shape = { 1, 2, 3, 8 } },
  { "Add", { random(4, 1, 1) } }, { "Add", { input(1, 4, 6, 6) } }, { "Sub", { random(1, 4, 6, 6) } },
  { "Mul", { random(4, 1, 1) } }, { "Mul", { input(1, 4, 6, 6) } }, { "Div", { number(1.5) } },
  { "Sum", { input(1, 4, 6, 6), random(6) } },
  { "MaxPool", {}, { kernel_shape = { 3, 3 }, strides = { 2, 2 }, ceil_mode = 1 } },
  { "AveragePool", {}, { kernel_shape = { 2, 2 }, strides = { 2, 2 } } },
  { "GlobalAveragePool" }, { "GlobalMaxPool" },
  { "Relu" }, { "Clip", { number(-0.5), number(0.3) } }, { "PRelu", { random(4, 1, 1) } }, { "PRelu", { random(1) } },
  { "LeakyRelu", {}, { alpha = 0.2 } }, { "Sigmoid" }, { "Tanh" }, { "HardSwish" }, { "HardSigmoid" }, { "Elu" },
  { "Gelu" }, { "Swish" }, { "Exp" }, { "Neg" },
  { "Concat", { random(1, 2, 6, 6) }, { axis = 1 } }, { "Reshape", { ints(1, 8, 18) } }, { "Flatten" },
  { "Transpose", {}, { perm = { 0, 2, 3, 1 } } }, { "Slice", { ints(1), ints(5), ints(2), ints(2) } },
  { "Split", { ints(1, 3) }, { axis = 1 }, outputs = 2 }, { "Squeeze", { ints(0) } }, { "Unsqueeze", { ints(1) } },
  { "Pad", { ints(0, 0, 1, 0, 0, 0, 0, 2), number(0.5) } },
  { "Pad", { ints(0, 0, 1, 1, 0, 0, 1, 1) }, { mode = "reflect" } },
  { "Gather", { ints(3, 0) }, { axis = 1 } }, { "Identity" },
  { "DepthToSpace", {}, { blocksize = 2 } }, { "DepthToSpace", {}, { blocksize = 2, mode = "CRD" } },
  { "SpaceToDepth", {}, { blocksize = 2 } },
  { "ReduceMean", { ints(2, 3) } }, { "ReduceMax", { ints(1) }, { keepdims = 0 } }, { "ReduceMin", { ints(3) } },
  { "ReduceSum", { ints(2) } }, { "ReduceL1", { ints(1) } }, { "ReduceL2", { ints(1) } },
  { "ReduceSumSquare", { ints(1) }, lsb = 3 }, { "ReduceLogSumExp", { ints(1) } },
  { "ReduceProd", { ints(3) }, lsb = 9 },
  { "Resize", { false, floats(1, 1, 2, 2) }, { mode = "nearest" }, bits = "int8" },
  { "Resize", { false, floats(1, 1, 2, 2) }, { mode = "linear" }, bits = "int8" },
  { "Greater", { number(0.25) } }, { "GreaterOrEqual", { input(1, 4, 6, 6) } }, { "Less", { random(4, 1, 1) } },
  { "LessOrEqual", { input(1, 1, 6, 6) } }, { "Equal", { random(6) } }, { "Pow", { number(2) } },
  { "Softmax", {}, { axis = 1 } }, { "LogSoftmax", {}, { axis = 1 } },
  { "LayerNormalization", { random(6), random(6) }, {}, lsb = 3 },
  { "LpNormalization", {}, { axis = 1, p = 2 }, lsb = 3 },
  { "RMSNormalization", { random(6) }, {}, lsb = 3 },
  { "ReverseSequence", { ints(3, 4, 2, 6) }, { batch_axis = 1, time_axis = 0 }, shape = { 6, 4, 5 } },
  { "Mod", { number(0.3) }, { fmod = 1 }, lsb = 256 }, { "ScatterND", { ints(0), input(1, 4, 6, 6) } },
  { "BatchNormalization", { random(4), random(4), random(4),
    function(b, name) return b.random(name, { 4 }, 0.5) end } },
}

local OPSETS = { HardSwish = 14, LayerNormalization = 18, Gelu = 20, RMSNormalization = 23, Swish = 24, ReduceMean = 18,
  ReduceMax = 18, ReduceMin = 18, ReduceL1 = 18, ReduceL2 = 18, ReduceSumSquare = 18, ReduceLogSumExp = 18,
  ReduceProd = 18 }

--- The float model of a case.
function M.model(case)
  local b = harness.builder()
  b.graph.opset = OPSETS[case[1]] or 13
  local inputs = { b.input("x", case.shape or X) }
  for i, make in ipairs(case[2] or {}) do inputs[i + 1] = make and make(b, "p" .. i) end
  if case[1] == "ScatterND" then inputs[2] = b.constant("i", core.tensor_from({ { 0 } }, "int64")) end
  local node = b.make(case[1], inputs, { name = "n", attrs = case[3], outputs = case.outputs })
  for _, value in ipairs(node.outputs) do b.output(value) end
  assert(b.graph:infer_shapes())
  return b.graph
end

--- Random data for its inputs: one tensor or a list, and for several a table by name.
function M.data(graph)
  local list = {}
  for i, value in ipairs(graph.inputs) do list[i] = harness.random(value.shape, 40 + i) end
  if #list == 1 then return list[1] end
  local by_name = {}
  for i, value in ipairs(graph.inputs) do by_name[value.name] = list[i] end
  return list, by_name
end

return M
