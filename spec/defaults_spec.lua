--- Attributes that a model leaves out are in the file that is written of it, and mean the same.

local core = require "espquant.core"
local onnx = require "espquant.onnx"

local function count_up(shape)
  local n, list = 1, {}
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do list[i] = (i * 7 % 11) - 5.0 end
  return core.tensor_from(list, "float32"):reshape(shape)
end

local function model_of(case)
  local graph = core.graph { opset = case.opset or 18 }
  local inputs = { graph:add_input("x", "float32", case.shape or { 1, 2, 4, 4 }) }
  for i, shape in ipairs(case.constants or {}) do inputs[i + 1] = graph:add_constant("c" .. i, count_up(shape)) end
  local node = graph:add_node { op_type = case.op, inputs = inputs, outputs = { "y" }, attrs = case.attrs }
  graph:add_output(node:output(1))
  assert(graph:infer_shapes())
  return graph
end

local function saved(graph)
  local path = os.tmpname()
  assert(onnx.save(graph, path))
  local again = assert(onnx.load(path))
  os.remove(path)
  return again
end

-- Every attribute that the node has.
local function attributes(node)
  local row, list = core.op(node.op_type, node.domain), {}
  for _, spec in ipairs(row.attrs) do
    if node:has_attr(spec.name) then list[spec.name] = node:attr(spec.name) end
  end
  return list
end

local WINDOW = { auto_pad = "NOTSET", kernel_shape = { 3, 3 }, strides = { 1, 1 }, dilations = { 1, 1 },
  pads = { 0, 0, 0, 0 } }

local function with(more)
  local list = {}
  for key, value in pairs(WINDOW) do list[key] = value end
  for key, value in pairs(more) do list[key] = value ~= "none" and value or nil end
  return list
end

local CASES = {
  { "a Conv's window comes from its weight", op = "Conv", constants = { { 2, 2, 3, 3 } }, want = with { group = 1 } },
  { "auto_pad stands for the pads", op = "Conv", constants = { { 2, 2, 3, 3 } }, attrs = { auto_pad = "SAME_UPPER" },
    want = with { group = 1, auto_pad = "SAME_UPPER", pads = "none" } },
  { "as many entries as there are axes", op = "Conv", shape = { 1, 2, 9 }, constants = { { 2, 2, 3 } }, want = {
    auto_pad = "NOTSET", kernel_shape = { 3 }, strides = { 1 }, dilations = { 1 }, pads = { 0, 0 }, group = 1 } },
  { "what is given stays", op = "MaxPool", attrs = { kernel_shape = { 3, 3 }, strides = { 2, 1 }, ceil_mode = 1 },
    want = with { strides = { 2, 1 }, ceil_mode = 1, storage_order = 0 } },
  { "none that the opset does not know", op = "MaxPool", opset = 8, attrs = { kernel_shape = { 3, 3 } },
    want = with { dilations = "none", storage_order = 0 } },
  { "AveragePool of opset 18", op = "AveragePool", attrs = { kernel_shape = { 3, 3 } },
    want = with { dilations = "none", ceil_mode = 0, count_include_pad = 0 } },
  { "AveragePool of opset 19", op = "AveragePool", opset = 19, attrs = { kernel_shape = { 3, 3 } },
    want = with { ceil_mode = 0, count_include_pad = 0 } },
  { "Softmax before opset 13", op = "Softmax", opset = 12, want = { axis = 1 } },
  { "Softmax since opset 13", op = "Softmax", opset = 13, want = { axis = -1 } },
  { "Transpose turns all axes", op = "Transpose", want = { perm = { 3, 2, 1, 0 } } },
  { "Clip's bounds while they are attributes", op = "Clip", opset = 10, attrs = { max = 1.5 },
    want = { min = -0x1.fffffep+127, max = 1.5 } },
  { "Clip's bounds are inputs", op = "Clip", opset = 11, want = {} },
  { "a seed is none of them", op = "Dropout", opset = 13, want = {} },
  { "reductions over all axes stay so", op = "ReduceMean", want = { keepdims = 1, noop_with_empty_axes = 0 } },
  { "Gemm", op = "Gemm", shape = { 2, 3 }, constants = { { 3, 4 } },
    want = { alpha = 1.0, beta = 1.0, transA = 0, transB = 0 } },
}

describe("default attributes in a saved file", function()
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local graph = model_of(case)
      local before = attributes(graph:node_list()[1])
      local again = saved(graph)
      assert.same(case.want, attributes(again:node_list()[1]))
      assert.same(before, attributes(graph:node_list()[1])) -- the model itself stays as it is
      assert.is_true(again:check())
      local x = count_up(case.shape or { 1, 2, 4, 4 })
      assert.same(core.evaluate(graph, x)[1]:totable(), core.evaluate(again, x)[1]:totable())
    end)
  end

  it("leave a window alone whose sizes have only names", function()
    local g = core.graph { opset = 13 }
    local x = g:add_input("x", "float32", { 1, 3, 8, 8 })
    local w = g:add_input("w", "float32", { 4, 3, "M", false })
    g:add_output(g:add_node { op_type = "Conv", inputs = { x, w }, outputs = { "y" } }:output(1))
    require "espquant.defaults".complete(g)
    assert.is_false(g:node_list()[1]:has_attr "kernel_shape")
  end)

  it("leave operators alone that are not known", function()
    local graph = core.graph { opset = 18 }
    local x = graph:add_input("x", "float32", { 1, 2 })
    graph:add_output(graph:add_node { op_type = "Conv", domain = "my", inputs = { x }, outputs = { "y" } }:output(1))
    assert.is_false(saved(graph):node_list()[1]:has_attr "group")
  end)
end)
