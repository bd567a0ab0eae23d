--- Graphs for specs of the executor, and what runs them.

local assert = require "luassert"
local core = require "espquant.core"
local espquant = require "espquant"

local M = {}

--- A float32 tensor of numbers from -1 to 1, the same for the same seed.
function M.numbers(shape, seed)
  local n, x, list = 1, seed or 1, {}
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do
    x = (x * 1103515245 + 12345) & 0x7fffffff
    list[i] = (x >> 8) % 2001 / 1000 - 1
  end
  return core.tensor_from(list, "float32"):reshape(shape)
end

--- A graph of nodes {op, inputs, output, attrs}; inputs are names, or tensors for constants.
function M.build(inputs, nodes, outputs)
  local g = core.graph { name = "spec", opset = 13 }
  local values = {}
  for _, input in ipairs(inputs) do values[input[1]] = g:add_input(input[1], input[3] or "float32", input[2]) end
  for _, n in ipairs(nodes) do
    local list = {}
    for i, x in ipairs(n[2]) do list[i] = type(x) == "string" and values[x] or g:add_constant(nil, x) end
    local node = g:add_node { op_type = n[1], name = n[3], inputs = list, outputs = { n[3] }, attrs = n[4] }
    values[n[3]] = node:output(1)
  end
  for _, name in ipairs(outputs) do g:add_output(g:value(name)) end
  assert(g:infer_shapes())
  return g
end

--- An int64 tensor.
function M.ints(list) return core.tensor_from(list, "int64") end

--- Convolutions of 3, 17 and 31 channels, an in-place activation, a branch, pools, a fully connected end.
function M.network()
  return M.build({ { "x", { "N", 3, 8, 8 } } }, {
    { "Conv", { "x", M.numbers({ 17, 3, 3, 3 }, 2), M.numbers({ 17 }, 3) }, "a", { pads = { 1, 1, 1, 1 } } },
    { "Relu", { "a" }, "b" },
    { "Conv", { "b", M.numbers({ 17, 1, 3, 3 }, 4) }, "c", { pads = { 1, 1, 1, 1 }, group = 17 } },
    { "Add", { "b", "c" }, "d" },
    { "Sigmoid", { "d" }, "e" },
    { "MaxPool", { "e" }, "f", { kernel_shape = { 2, 2 }, strides = { 2, 2 } } },
    { "Conv", { "f", M.numbers({ 31, 17, 1, 1 }, 5) }, "g" },
    { "GlobalAveragePool", { "g" }, "h" },
    { "Flatten", { "h" }, "i" },
    { "Gemm", { "i", M.numbers({ 10, 31 }, 6), M.numbers({ 10 }, 7) }, "y", { transB = 1 } },
  }, { "y" })
end

--- The names of its tensors.
M.ALL = { "x", "a", "b", "c", "d", "e", "f", "g", "h", "i", "y" }

--- Outputs, names and the executor of a graph that is run on images.
function M.run(graph, images, options)
  local exec = assert(core.executor(graph, options))
  local outputs, names = exec:run(images)
  return assert(outputs, names), names, exec
end

--- Fails unless shape, type and every element are equal.
function M.assert_equal(expected, got, label)
  assert.same(expected.shape, got.shape, label)
  assert.equal(expected.dtype, got.dtype, label)
  assert.is_true((expected:equal(got)), label)
end

--- The int8 per-channel graph, calibrated with the images.
function M.quantized(graph, images)
  local t = assert(espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax",
    log = function() end }
    :measure_table(graph, images))
  return assert(require "espquant.quant".apply(graph, t, { bits = 8, granularity = "per-channel" }))
end

--- A network of which every operator can be quantized.
function M.integer_network()
  return M.build({ { "x", { "N", 3, 8, 8 } } }, {
    { "Conv", { "x", M.numbers({ 17, 3, 3, 3 }, 2), M.numbers({ 17 }, 3) }, "a", { pads = { 1, 1, 1, 1 } } },
    { "Relu", { "a" }, "b" },
    { "Conv", { "b", M.numbers({ 17, 1, 3, 3 }, 4) }, "c", { pads = { 1, 1, 1, 1 }, group = 17 } },
    { "Add", { "b", "c" }, "d" },
    { "MaxPool", { "d" }, "f", { kernel_shape = { 2, 2 }, strides = { 2, 2 } } },
    { "Flatten", { "f" }, "i" },
    { "Gemm", { "i", M.numbers({ 10, 272 }, 6), M.numbers({ 10 }, 7) }, "y", { transB = 1 } },
  }, { "y" })
end

return M
