-- What an operator means changes with the version of its domain. A row for every change that ONNX has had between
-- opset 6 and 27 and that is more than another list of types: the operator, the opsets at both ends of the form,
-- its inputs (the first is the model's input, the others are constants), its attributes, and what comes out or why it
-- is refused.

local core = require "espquant.core"
local onnx = require "espquant.onnx"

local function f(t) return core.tensor_from(t, "float32") end
local function i(t) return core.tensor_from(t, "int64") end
local function b(x) return core.tensor_from({ x and 1 or 0 }, "uint8"):reshape {}:astype "bool" end
local function s(x) return f(x):reshape {} end
local none = false

local NEWEST = 27
local V = f { 1, 2, 3, 4 } -- a vector, a matrix, an image
local M = f { { 1, 2 }, { 3, 4 } }
local I = f { { { { 1, 2 }, { 3, 4 } } } }
local BN4 = f { { { 1, 2 }, { 3, 4 } } } -- a number for each pixel
local BN = { f { { 1, 2 } }, f { 1, 1 }, f { 0, 1 }, f { 0, 0 }, f { 1, 1 } }

local RNN = { f { { { 1 } }, { { 2 } } }, f { { { 1 } } }, f { { { 0 } } } } -- relu(x) without memory
local STEPS = { { { { 1 } } }, { { { 2 } } } }
-- One step of one number, all weights 0.
local function gates(n)
  return { f { { { 1 } } }, core.tensor({ 1, n, 1 }, "float32"), core.tensor({ 1, n, 1 }, "float32") }
end

local CASES = {
  -- functions of two tensors broadcast by attributes up to 6, like numpy from 7
  { "Add", { 6, 6 }, { M, f { 1, 2 } }, { broadcast = 1, axis = 0 }, { { 2, 3 }, { 5, 6 } } },
  { "Add", { 7, NEWEST }, { M, f { 1, 2 } }, {}, { { 2, 4 }, { 4, 6 } } },
  { "Add", { 7, NEWEST }, { M, f { 1, 2 } }, { broadcast = 1, axis = 0 }, "broadcast" },
  { "Gemm", { 6, 6 }, { M, M, f { 1, 2 } }, { broadcast = 1 }, { { 8, 12 }, { 16, 24 } } },
  { "Gemm", { 7, NEWEST }, { M, M, f { 1, 2 } }, {}, { { 8, 12 }, { 16, 24 } } },
  { "Gemm", { 11, NEWEST }, { M, M }, {}, { { 7, 10 }, { 15, 22 } } },
  { "PRelu", { 6, 6 }, { f { { { -1, -2 }, { -3, -4 } } }, f { 1, 2 } }, {}, { { { -1, -2 }, { -6, -8 } } } },
  { "PRelu", { 7, NEWEST }, { f { { { -1, -2 }, { -3, -4 } } }, f { 1, 2 } }, {}, { { { -1, -4 }, { -3, -8 } } } },
  -- attributes of training
  { "Dropout", { 6, 6 }, { V }, { is_test = 1, ratio = 0.5 }, { 1, 2, 3, 4 } },
  { "Dropout", { 7, 11 }, { V }, { ratio = 0.5 }, { 1, 2, 3, 4 } },
  { "Dropout", { 12, NEWEST }, { V, s(0.5) }, {}, { 1, 2, 3, 4 } },
  { "Dropout", { 12, NEWEST }, { V, s(0.5), b(false) }, {}, { 1, 2, 3, 4 } },
  { "Dropout", { 12, NEWEST }, { V, s(0.5), b(true) }, {}, "training" },
  { "BatchNormalization", { 6, 6 }, BN, { is_test = 1, spatial = 1, epsilon = 0.0 }, { { 1, 3 } } },
  { "BatchNormalization", { 7, 8 }, BN, { spatial = 1, epsilon = 0.0 }, { { 1, 3 } } },
  { "BatchNormalization", { 7, 8 }, { I, BN4, BN4, BN4, BN4 }, { spatial = 0 }, "scale" },
  { "BatchNormalization", { 9, NEWEST }, BN, { spatial = 0, epsilon = 0.0 }, { { 1, 3 } } }, -- MXNet writes it still
  { "BatchNormalization", { 9, NEWEST }, BN, { epsilon = 0.0 }, { { 1, 3 } } },
  { "BatchNormalization", { 14, NEWEST }, BN, { training_mode = 1 }, "training" },
  -- numbers become inputs
  { "Clip", { 6, 10 }, { V }, { min = 2.0, max = 3.0 }, { 2, 2, 3, 3 } },
  { "Clip", { 11, NEWEST }, { V, s(2), s(3) }, {}, { 2, 2, 3, 3 } },
  { "Clip", { 11, NEWEST }, { V, none, s(3) }, {}, { 1, 2, 3, 3 } },
  { "Clip", { 11, NEWEST }, { V }, { min = 2.0 }, "min" },
  { "Clip", { 6, 10 }, { V, s(2) }, {}, "input" },
  { "Pad", { 6, 10 }, { V }, { pads = { 1, 0 }, value = 9.0 }, { 9, 1, 2, 3, 4 } },
  { "Pad", { 11, NEWEST }, { V, i { 1, 0 }, s(9) }, {}, { 9, 1, 2, 3, 4 } },
  { "Pad", { 11, NEWEST }, { V }, { pads = { 1, 0 } }, "Pad" },
  { "Pad", { 6, 10 }, { V, i { 1, 0 } }, {}, "Pad" },
  { "Pad", { 18, NEWEST }, { M, i { 1, 0 }, none, i { 1 } }, {}, { { 0, 1, 2 }, { 0, 3, 4 } } },
  { "Pad", { 11, 17 }, { M, i { 1, 0 }, none, i { 1 } }, {}, "input 3 exists since opset 18" },
  { "Pad", { 19, NEWEST }, { V, i { 1, 0 } }, { mode = "wrap" }, { 4, 1, 2, 3, 4 } },
  { "Pad", { 11, 18 }, { V, i { 1, 0 } }, { mode = "wrap" }, "wrap" },
  { "Slice", { 6, 9 }, { V }, { starts = { 1 }, ends = { 3 } }, { 2, 3 } },
  { "Slice", { 10, NEWEST }, { V, i { 1 }, i { 3 } }, {}, { 2, 3 } },
  { "Slice", { 10, NEWEST }, { V, i { -1 }, i { -9 }, i { 0 }, i { -2 } }, {}, { 4, 2 } },
  { "Slice", { 10, NEWEST }, { V }, { starts = { 1 }, ends = { 3 } }, "Slice" },
  { "Slice", { 6, 9 }, { V, i { 1 }, i { 3 } }, {}, "Slice" },
  { "Squeeze", { 6, 12 }, { f { { 1, 2 } } }, { axes = { 0 } }, { 1, 2 } },
  { "Squeeze", { 13, NEWEST }, { f { { 1, 2 } }, i { 0 } }, {}, { 1, 2 } },
  { "Squeeze", { 13, NEWEST }, { f { { 1, 2 } } }, { axes = { 0 } }, "axes" },
  { "Squeeze", { 6, 12 }, { f { { 1, 2 } }, i { 0 } }, {}, "Squeeze" },
  { "Unsqueeze", { 6, 12 }, { V }, { axes = { 0 } }, { { 1, 2, 3, 4 } } },
  { "Unsqueeze", { 13, NEWEST }, { V, i { 0 } }, {}, { { 1, 2, 3, 4 } } },
  { "Unsqueeze", { 13, NEWEST }, { V }, { axes = { 0 } }, "Unsqueeze" },
  { "Unsqueeze", { 6, 12 }, { V, i { 0 } }, {}, "Unsqueeze" },
  { "Split", { 6, 12 }, { V }, { split = { 4 } }, { 1, 2, 3, 4 } },
  { "Split", { 13, NEWEST }, { V, i { 4 } }, {}, { 1, 2, 3, 4 } },
  { "Split", { 13, NEWEST }, { V }, { split = { 4 } }, "split" },
  { "Split", { 6, 12 }, { V, i { 4 } }, {}, "Split" },
  { "Split", { 18, NEWEST }, { V }, { num_outputs = 1 }, { 1, 2, 3, 4 } },
  { "Split", { 13, 17 }, { V }, { num_outputs = 1 }, "num_outputs" },
  { "ReduceSum", { 6, 12 }, { M }, { axes = { 1 }, keepdims = 0 }, { 3, 7 } },
  { "ReduceSum", { 13, NEWEST }, { M, i { 1 } }, { keepdims = 0 }, { 3, 7 } },
  { "ReduceSum", { 13, NEWEST }, { M, i {} }, { keepdims = 0 }, 10 },
  { "ReduceSum", { 13, NEWEST }, { M, i {} }, { noop_with_empty_axes = 1 }, { { 1, 2 }, { 3, 4 } } },
  { "ReduceSum", { 13, NEWEST }, { M }, { axes = { 1 } }, "axes" },
  { "ReduceSum", { 6, 12 }, { M, i { 1 } }, {}, "ReduceSum" },
  { "Upsample", { 9, 9 }, { f { { { { 1, 2 } } } }, f { 1, 1, 1, 2 } }, { mode = "nearest" },
    { { { { 1, 1, 2, 2 } } } } },
  { "Upsample", { 7, 8 }, { f { { { { 1, 2 } } } } }, { scales = { 1.0, 1.0, 1.0, 2.0 } }, { { { { 1, 1, 2, 2 } } } } },
  { "Upsample", { 9, 9 }, { I }, { scales = { 1.0, 1.0, 2.0, 2.0 } }, "Upsample" },
  { "Resize", { 10, 10 }, { f { { { { 1, 2 } } } }, f { 1, 1, 1, 2 } }, { mode = "linear" },
    { { { { 1, 1.5, 2, 2 } } } } }, -- asymmetric
  { "Resize", { 11, NEWEST }, { f { { { { 1, 2 } } } }, f {}, f { 1, 1, 1, 2 } }, { mode = "linear" },
    { { { { 1, 1.25, 1.75, 2 } } } } }, -- half_pixel
  { "Resize", { 13, NEWEST }, { f { { { { 1, 2 } } } }, none, none, i { 1, 1, 1, 4 } }, {},
    { { { { 1, 1, 2, 2 } } } } },
  { "Resize", { 18, NEWEST }, { f { { { { 1, 2 } } } }, none, f { 2 } }, { axes = { 3 } }, { { { { 1, 1, 2, 2 } } } } },
  { "Resize", { 11, 17 }, { f { { { { 1, 2 } } } }, f {}, f { 2 } }, { axes = { 3 } }, "axes" },
  { "Resize", { 10, 10 }, { I, f { 1, 1, 1, 2 } }, { coordinate_transformation_mode = "half_pixel" }, "coordinate" },
  -- the meaning of an axis
  { "Softmax", { 6, 12 }, { f { { { 0, 0 }, { 0, 0 } } } }, {}, { { { 0.25, 0.25 }, { 0.25, 0.25 } } } },
  { "Softmax", { 13, NEWEST }, { f { { { 0, 0 }, { 0, 0 } } } }, {}, { { { 0.5, 0.5 }, { 0.5, 0.5 } } } },
  { "Softmax", { 6, 12 }, { f { { { 0, 0 } }, { { 0, 0 } } } }, { axis = 0 }, { { { 0.25, 0.25 } },
    { { 0.25, 0.25 } } } },
  { "Softmax", { 13, NEWEST }, { f { { { 0, 0 } }, { { 0, 0 } } } }, { axis = 0 },
    { { { 0.5, 0.5 } }, { { 0.5, 0.5 } } } },
  { "Shape", { 6, 14 }, { M }, {}, { 2, 2 } },
  { "Shape", { 15, NEWEST }, { M }, { start = 1 }, { 2 } },
  { "Shape", { 6, 14 }, { M }, { start = 1 }, "start" },
  { "Reshape", { 6, 13 }, { M, i { 0, -1 } }, {}, { { 1, 2 }, { 3, 4 } } },
  { "Reshape", { 14, NEWEST }, { M, i { 4 } }, { allowzero = 1 }, { 1, 2, 3, 4 } },
  { "Reshape", { 6, 13 }, { M, i { 0, -1 } }, { allowzero = 1 }, "allowzero" },
  { "Reshape", { 28, 28 }, { M, i { 4 } }, { allowzero = 1 }, { 1, 2, 3, 4 } }, -- newer than we know: tried
  -- modes
  { "DepthToSpace", { 6, 10 }, { f { { { { 1 } }, { { 2 } }, { { 3 } }, { { 4 } } } } }, { blocksize = 2 },
    { { { { 1, 2 }, { 3, 4 } } } } },
  { "DepthToSpace", { 11, NEWEST }, { f { { { { 1 } }, { { 2 } }, { { 3 } }, { { 4 } } } } },
    { blocksize = 2, mode = "CRD" }, { { { { 1, 2 }, { 3, 4 } } } } },
  { "DepthToSpace", { 6, 10 }, { f { { { { 1 } }, { { 2 } }, { { 3 } }, { { 4 } } } } },
    { blocksize = 2, mode = "CRD" }, "mode" },
  { "ScatterND", { 11, 15 }, { V, i { { 0 } }, f { 9 } }, {}, { 9, 2, 3, 4 } },
  { "ScatterND", { 16, NEWEST }, { V, i { { 0 } }, f { 9 } }, { reduction = "add" }, { 10, 2, 3, 4 } },
  { "ScatterND", { 18, NEWEST }, { V, i { { 0 } }, f { 9 } }, { reduction = "max" }, { 9, 2, 3, 4 } },
  { "ScatterND", { 11, 15 }, { V, i { { 0 } }, f { 9 } }, { reduction = "add" }, "reduction" },
  { "ScatterND", { 16, 17 }, { V, i { { 0 } }, f { 9 } }, { reduction = "max" }, "reduction" },
  { "AveragePool", { 10, NEWEST }, { I }, { kernel_shape = { 1, 2 }, strides = { 2, 2 }, ceil_mode = 1 },
    { { { { 1.5 } } } } },
  { "AveragePool", { 19, NEWEST }, { f { { { { 1, 2, 3 } } } } }, { kernel_shape = { 1, 2 }, dilations = { 1, 2 } },
    { { { { 2 } } } } },
  { "AveragePool", { 6, 18 }, { f { { { { 1, 2, 3 } } } } }, { kernel_shape = { 1, 2 }, dilations = { 1, 2 } },
    "dilations" },
  { "MaxPool", { 10, NEWEST }, { f { { { { 1, 2, 3 } } } } }, { kernel_shape = { 1, 2 }, dilations = { 1, 2 } },
    { { { { 3 } } } } },
  { "MaxPool", { 6, 9 }, { f { { { { 1, 2, 3 } } } } }, { kernel_shape = { 1, 2 }, dilations = { 1, 2 } },
    "dilations" },
  -- recurrence: what comes out, and in which layout
  { "RNN", { 6, 6 }, RNN, { hidden_size = 1, activations = { "Relu" }, output_sequence = 1 }, STEPS },
  { "RNN", { 7, NEWEST }, RNN, { hidden_size = 1, activations = { "Relu" } }, STEPS },
  { "RNN", { 7, NEWEST }, RNN, { hidden_size = 1, output_sequence = 1 }, "output_sequence" },
  { "RNN", { 14, NEWEST }, { f { { { 1 }, { 2 } } }, RNN[2], RNN[3] },
    { hidden_size = 1, activations = { "Relu" }, layout = 1 }, { { { { 1 } }, { { 2 } } } } },
  { "RNN", { 7, 13 }, RNN, { hidden_size = 1, layout = 1 }, "layout" },
  { "GRU", { 6, 6 }, gates(3), { hidden_size = 1, output_sequence = 1, linear_before_reset = 1 }, { { { { 0 } } } } },
  { "GRU", { 7, NEWEST }, gates(3), { hidden_size = 1 }, { { { { 0 } } } } },
  { "LSTM", { 6, 6 }, gates(4), { hidden_size = 1, output_sequence = 1 }, { { { { 0 } } } } },
  { "LSTM", { 7, NEWEST }, gates(4), { hidden_size = 1 }, { { { { 0 } } } } },
  -- what there was not yet
  { "HardSwish", { 14, NEWEST }, { f { 3 } }, {}, { 3 } }, { "HardSwish", { 6, 13 }, { V }, {}, "opset" },
  { "Range", { 6, 10 }, { s(0), s(2), s(1) }, {}, "opset" }, { "Expand", { 6, 7 }, { V, i { 1 } }, {}, "opset" },
  { "Mish", { 6, 17 }, { V }, {}, "opset" },
  { "Gelu", { 6, 19 }, { V }, {}, "opset" }, { "Swish", { 6, 23 }, { V }, {}, "opset" },
  { "LayerNormalization", { 6, 16 }, { V, V }, {}, "opset" },
  { "RMSNormalization", { 6, 22 }, { V, V }, {}, "opset" }, { "Mod", { 6, 9 }, { V, V }, {}, "opset" },
  { "Where", { 6, 8 }, { b(true), V, V }, {}, "opset" }, { "LessOrEqual", { 6, 11 }, { V, V }, {}, "opset" },
  { "Round", { 6, 10 }, { V }, {}, "opset" }, { "Erf", { 6, 8 }, { V }, {}, "opset" },
  { "ConstantOfShape", { 6, 8 }, { i { 1 } }, {}, "opset" }, { "Resize", { 6, 9 }, { I, f { 1, 1, 1, 2 } }, {},
    "opset" },
  { "ReverseSequence", { 6, 9 }, { M, i { 1, 1 } }, {}, "opset" }, { "ScatterND", { 6, 10 }, { V, V, V }, {}, "opset" },
  { "GatherElements", { 6, 10 }, { V, i { 0 } }, {}, "opset" },
}

-- All other reductions have axes as an input from 18 on.
for _, name in ipairs { "L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare" } do
  local op, one = "Reduce" .. name, { { 1 }, { 1 } }
  CASES[#CASES + 1] = { op, { 6, 17 }, { f(one) }, { axes = { 1 } }, name:match "Log" and { { 0 }, { 0 } } or nil }
  CASES[#CASES][5] = name == "LogSumExp" and one or CASES[#CASES][5] or one
  CASES[#CASES + 1] = { op, { 18, NEWEST }, { f(one), i { 1 } }, {}, CASES[#CASES][5] }
  CASES[#CASES + 1] = { op, { 18, NEWEST }, { f(one) }, { axes = { 1 } }, "axes" }
  CASES[#CASES + 1] = { op, { 6, 17 }, { f(one), i { 1 } }, {}, op }
end

local function graph_of(case, opset)
  local graph, inputs = core.graph { opset = opset }, {}
  for k = 1, 5 do
    local t = case[3][k]
    if t == none then inputs[k] = false
    elseif t and k == 1 then inputs[k] = graph:add_input("x", t.dtype, t.shape)
    elseif t then inputs[k] = graph:add_constant(nil, t) end
  end
  graph:add_output(graph:add_node { op_type = case[1], name = "n", inputs = inputs, attrs = case[4], outputs = { "y" } }
    :output(1))
  return graph
end

-- The model through a file, as reading brings old forms up; then through one that we write with all defaults.
local function result(case, opset)
  local path = os.tmpname()
  assert(core.onnx_write(graph_of(case, opset), path))
  local graph, message, code = onnx.load(path)
  if graph then
    assert(onnx.save(graph, path))
    graph = assert(onnx.load(path))
  end
  os.remove(path)
  if not graph then return nil, message, code end
  local ok, why, status = graph:check()
  if not ok then return nil, why, status end
  local outputs, reason, kind = core.evaluate(graph, case[3][1])
  if not outputs then return nil, reason, kind end
  return outputs[1]:totable()
end

describe("an operator by its version:", function()
  for k, case in ipairs(CASES) do
    local name = ("%s of opset %d to %d, case %d"):format(case[1], case[2][1], case[2][2], k)
    it(name, function()
      for _, opset in ipairs(case[2]) do
        local got, message = result(case, opset)
        if type(case[5]) == "string" then
          assert.is_nil(got, ("opset %d was read"):format(opset))
          assert.matches(case[5], message, 1, true)
        else
          assert.same(case[5], assert(got, ("opset %d: %s"):format(opset, message)))
        end
      end
    end)
  end
end)
