--- A model with the operators that the recorded cases lack, made through the graph's own methods.
---
---     local bytes = everything.bytes()

local core = require "espquant.core"

local M = {}

local function numbers(shape)
  local n, list = 1, {}
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do list[i] = ((i * 29) % 41 - 20) / 20 end
  return core.tensor_from(list, "float32"):reshape(shape)
end

local function ints(...) return core.tensor_from({ ... }, "int64") end
local function scalar(x) return core.tensor_from({ x }, "float32"):reshape {} end

local NODES = {
  { "Pad", { "x", ints(0, 0, 1, 0, 0, 0, 1, 2), scalar(0) }, "pad", { mode = "constant" } },
  { "AveragePool", { "pad" }, "average", { kernel_shape = { 2, 2 }, strides = { 2, 2 }, pads = { 0, 0, 1, 1 } } },
  { "Clip", { "average", scalar(-0.5), scalar(0.75) }, "clip" },
  { "PRelu", { "clip", numbers { 3, 1, 1 } }, "prelu" },
  { "BatchNormalization", { "prelu", numbers { 3 }, numbers { 3 }, numbers { 3 },
    core.tensor_from({ 1, 2, 3 }, "float32") }, "bn", { epsilon = 1e-3 } },
  { "Slice", { "bn", ints(0), ints(4), ints(2), ints(2) }, "slice" },
  { "Resize", { "slice", "", core.tensor_from({ 1, 1, 2, 1 }, "float32") }, "resize", { mode = "nearest" } },
  { "Identity", { "resize" }, "identity" },
  { "Dropout", { "identity" }, "dropout" },
  { "Sub", { "bn", "dropout" }, "sub" },
  { "Mul", { "sub", numbers { 3, 1, 1 } }, "mul" },
  { "Max", { "mul", "bn" }, "max" },
  { "Min", { "max", "clip" }, "min" },
  { "Unsqueeze", { "min", ints(2) }, "unsqueeze" },
  { "Expand", { "unsqueeze", ints(1, 1, 2, 1, 1) }, "expand" },
  { "Reshape", { "expand", ints(0, 6, 4, -1) }, "reshape" },
  { "Transpose", { "reshape" }, "transpose", { perm = { 0, 2, 3, 1 } } },
  { "MatMul", { "transpose", numbers { 6, 5 } }, "matmul" },
  { "Softmax", { "matmul" }, "softmax", { axis = -1 } },
  { "Sigmoid", { "matmul" }, "sigmoid" },
  { "Tanh", { "sigmoid" }, "tanh" },
  { "Div", { "tanh", scalar(0.125) }, "div" },
  { "Floor", { "div" }, "floor" },
  { "Round", { "floor" }, "round" },
  { "Concat", { "softmax", "round" }, "concat", { axis = 1 } },
  { "Slice", { "concat", ints(-1, 0), ints(-5, 9), ints(2, 3), ints(-1, 2) }, "part" },
  { "GlobalAveragePool", { "part" }, "gap" },
  { "Squeeze", { "gap", ints(2, 3) }, "squeeze" },
  { "Gemm", { "squeeze", numbers { 4, 8 }, numbers { 4 } }, "y", { transB = 1, alpha = 1.0, beta = 1.0 } },
}

-- Operators that no chip has, left out for a model that can be quantized.
local FLOAT_ONLY = { softmax = "matmul", sigmoid = "matmul", tanh = "matmul",
  div = "matmul", floor = "matmul", round = "matmul", clip = "average", resize = "prelu", bn = "prelu" }

--- The graph; with `chip` only what can be quantized.
function M.graph(chip)
  local g = core.graph { name = "everything", opset = 13 }
  local values = { x = g:add_input("x", "float32", { "N", 3, 6, 6 }) }
  for _, n in ipairs(NODES) do
    local list = {}
    for i, x in ipairs(n[2]) do
      if x == "" then list[i] = false else list[i] = type(x) == "string" and values[x] or g:add_constant(nil, x) end
    end
    values[n[3]] = chip and FLOAT_ONLY[n[3]] and values[FLOAT_ONLY[n[3]]]
      or g:add_node { op_type = n[1], name = n[3] .. "_node", inputs = list, outputs = { n[3] }, attrs = n[4] }
        :output(1)
  end
  g:add_output(values.y)
  g:prune()
  return g
end

--- The same as a file.
function M.bytes(chip)
  return (assert(core.onnx_encode(M.graph(chip))))
end

return M
