--- The form that ESP-DL v3 quantizes: the operators that are left, the same results, the names of the recorded tables.
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local harness = require "spec.support.pass_harness"
local prepare = require "espquant.quant.v3.prepare"

-- Builds a model of one node behind x: the node's op_type, inputs after x, attributes; o.opset, o.shape, o.outputs.
local function one(op_type, o)
  return function(b)
    local inputs = { b.input("x", o.shape or { 1, 4, 6, 6 }) }
    for i, make in ipairs(o.inputs or {}) do inputs[i + 1] = make and make(b, "p" .. i) end
    local node = b.make(op_type, inputs, { name = "n", attrs = o.attrs, outputs = o.outputs })
    for _, value in ipairs(node.outputs) do
      if value then b.output(value) end
    end
  end
end

local function random(...)
  local shape = { ... }
  return function(b, name) return b.random(name, shape) end
end

local function ints(...)
  local list = { ... }
  return function(b, name) return b.integers(name, list) end
end

local function attr(name, value)
  return function(p) assert.same(value, p:node "n":attr(name)) end
end

local CASES = {
  { "Conv gets its attributes", one("Conv", { inputs = { random(3, 4, 3, 3) } }), "Conv",
    attr("pads", { 0, 0, 0, 0 }) },
  { "auto_pad becomes pads", one("Conv", { inputs = { random(3, 4, 2, 2) }, attrs = { auto_pad = "SAME_UPPER" } }),
    "Conv", attr("pads", { 0, 0, 1, 1 }) },
  { "auto_pad at the front", one("Conv", { inputs = { random(3, 4, 2, 2) }, attrs = { auto_pad = "SAME_LOWER" } }),
    "Conv", attr("pads", { 1, 1, 0, 0 }) },
  { "ceil_mode becomes padding", one("MaxPool", { attrs = { kernel_shape = { 3, 3 }, strides = { 2, 2 },
    ceil_mode = 1 } }), "MaxPool", attr("pads", { 0, 0, 1, 1 }) },
  { "ceil_mode without a rest vanishes", one("AveragePool", { attrs = { kernel_shape = { 2, 2 }, strides = { 2, 2 },
    ceil_mode = 1 } }), "AveragePool", attr("ceil_mode", 0) },
  { "ceil_mode that averages less stays", one("AveragePool", { attrs = { kernel_shape = { 4, 4 }, strides = { 4, 4 },
    ceil_mode = 1 } }), "AveragePool", attr("ceil_mode", 1) },
  { "GlobalMaxPool", one("GlobalMaxPool", {}), "MaxPool", attr("kernel_shape", { 6, 6 }) },
  { "groups of channels", one("Conv", { inputs = { random(6, 2, 3, 3), random(6) }, attrs = { group = 2 } }),
    "Split Conv Conv Concat" },
  { "several filters a channel", one("Conv", { inputs = { random(12, 1, 3, 3), random(12) }, attrs = { group = 4 } }),
    "Conv Conv Conv Concat Gather" },
  { "one filter a channel stays", one("Conv", { inputs = { random(4, 1, 3, 3) }, attrs = { group = 4 } }), "Conv" },
  { "Gemm's factors", one("Gemm", { shape = { 2, 3 }, inputs = { random(3, 5), random(1, 5) },
    attrs = { alpha = 0.5, beta = 2.0 } }), "Gemm", attr("alpha", 1.0) },
  { "Gemm's scalar bias", one("Gemm", { shape = { 2, 3 }, inputs = { random(5, 3), random(1) },
    attrs = { transB = 1 } }), "Gemm", function(p) assert.same({ 5 }, p:node "n":input(3).shape) end },
  { "Gemm's turned operand", one("Gemm", { shape = { 3, 2 }, inputs = { random(3, 5) }, attrs = { transA = 1 } }),
    "Transpose Gemm" },
  { "Sum", one("Sum", { inputs = { random(4, 1, 1), random(1) } }), "Add Add" },
  { "a slope per channel", one("PRelu", { inputs = { random(1, 4, 1, 1) } }), "PRelu",
    function(p) assert.same({ 4, 1, 1 }, p:node "n":input(2).shape) end },
  { "one slope", one("PRelu", { inputs = { random(1) } }), "PRelu",
    function(p) assert.same({ 1, 1, 1 }, p:node "n":input(2).shape) end },
  { "a transposed convolution", one("ConvTranspose", { inputs = { random(4, 3, 3, 2), random(3) },
    attrs = { strides = { 2, 3 }, pads = { 1, 0, 1, 1 }, output_padding = { 1, 0 }, dilations = { 1, 2 } } }),
    "InsertZeros Conv" },
  { "a transposed convolution of groups", one("ConvTranspose", { inputs = { random(4, 3, 3, 3) },
    attrs = { strides = { 2, 2 }, group = 2, auto_pad = "SAME_UPPER" } }), "InsertZeros Split Conv Conv Concat" },
  { "a transposed convolution of stride 1, in 1-D", one("ConvTranspose", { shape = { 1, 4, 7 },
    inputs = { random(4, 3, 3) } }), "Conv" },
  { "BatchNormalization of vectors", function(b) b.output(b.batch_norm(b.input("x", { 2, 4 }), 4)) end, "Mul Add" },
  { "BatchNormalization of pictures", function(b) b.output(b.batch_norm(b.input("x", { 2, 4, 3, 3 }), 4)) end, "Conv" },
  { "Split without sizes", one("Split", { outputs = 2, attrs = { axis = 1 } }), "Split",
    function(p) assert.same({ 2, 2 }, p:node "n":input(2).constant:totable()) end },
  { "reductions' axes", one("ReduceMean", { attrs = { axes = { 2, 3 } } }), "ReduceMean",
    function(p) assert.same({ 2, 3 }, p:node "n":input(2).constant:totable()) end },
  { "x * Sigmoid(x)", function(b)
    local x = b.input("x", { 1, 3 })
    b.output(b.node("Mul", { x, b.node("Sigmoid", { x }) }, { out = "y" }))
  end, "Swish", function(p) assert.equal("y", p.outputs[1].name) end },
  { "shared weights", function(b)
    local x, w = b.input("x", { 1, 3 }), b.random("w", { 3, 3 })
    b.output(b.node("Gemm", { b.node("Gemm", { x, w }), w }))
  end, "Gemm Gemm", function(p) assert.truthy(p:value "w_2") end },
  { "a GRU's outputs", one("GRU", { shape = { 3, 1, 2 }, inputs = { random(1, 12, 2), random(1, 12, 4) },
    attrs = { hidden_size = 4, linear_before_reset = 1 }, outputs = { "y" } }), "GRU",
    function(p) assert.equal(2, #p:node "n".outputs) end },
  { "DepthToSpace of mode CRD", one("DepthToSpace", { shape = { 1, 12, 2, 3 },
    attrs = { blocksize = 2, mode = "CRD" } }), "Gather DepthToSpace" },
  { "SpaceToDepth in the runtime's order", one("SpaceToDepth", { attrs = { blocksize = 2 } }), "SpaceToDepth Gather" },
  { "Softmax of opset 11", one("Softmax", { opset = 11, attrs = { axis = 1 } }), "Reshape Softmax Reshape", nil, 11 },
  { "Softmax of opset 11 along the last axis", one("Softmax", { shape = { 2, 5 } }), "Softmax", nil, 11 },
  { "Clip of opset 10", one("Clip", { attrs = { min = -0.5, max = 0.25 } }), "Clip",
    function(p) assert.equal(0.25, p:node "n":input(3).constant:item()) end, 10 },
  { "Pad of opset 10", one("Pad", { attrs = { pads = { 0, 0, 1, 1, 0, 0, 1, 1 }, value = 0.5 } }), "Pad", nil, 10 },
  { "Slice of opset 9", one("Slice", { attrs = { starts = { 1 }, ends = { 3 }, axes = { 1 } } }), "Slice", nil, 9 },
  { "Squeeze of opset 11", one("Squeeze", { attrs = { axes = { 0 } } }), "Squeeze", nil, 11 },
  { "Upsample", one("Upsample", { inputs = { function(b, name)
    return b.constant(name, core.tensor_from({ 1, 1, 2, 2 }, "float32"))
  end } }), "Resize", nil, 9 },
  { "Pad's axes", one("Pad", { inputs = { ints(1, 2), false, ints(3) } }), "Pad",
    function(p) assert.same({ 0, 0, 0, 1, 0, 0, 0, 2 }, p:node "n":input(2).constant:totable()) end, 18 },
}

local function same_results(want, got)
  assert.equal(#want, #got)
  for i, t in ipairs(want) do
    assert.same(t.shape, got[i].shape)
    assert.is_true(harness.difference(t, got[i]) <= 1e-5)
  end
end

describe("the form that ESP-DL v3 quantizes", function()
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local b = harness.builder()
      b.graph.opset = case[5] or 13
      case[2](b)
      assert(b.graph:infer_shapes())
      local before = harness.run(b.graph)
      local p = assert(prepare(b.graph))
      assert(p:verify())
      assert(p:infer_shapes())
      assert.equal(case[3], harness.ops(p))
      same_results(before, harness.run(p))
      if case[4] then case[4](p) end
      assert.equal(core.onnx_encode(p), core.onnx_encode(assert(prepare(p))))
    end)
  end

  it("has the tensors of the recorded tables, from the model as it is and simplified", function()
    local count = 0
    for _, name in ipairs(fixtures.CASES_V3) do
      local case = fixtures.open(name, "v3")
      local want = {}
      for tensor in pairs(case.json "esp32s3_8bit/table.json".variables) do want[tensor] = true end
      for _, file in ipairs(case.names "^model[%w_]*%.onnx$") do
        local got = {}
        for _, value in ipairs(prepare(assert(core.onnx_decode(case.bytes(file)))):values()) do
          if not value.constant then got[value.name] = true end
        end
        assert.same(want, got, name .. "/" .. file)
        count = count + 1
      end
    end
    assert.equal(14, count)
  end)
end)
