-- What the C++ exporter writes beyond the recorded cases, and core.pack_filter.
local core = require "espquant.core"
local coefficients = require "spec.support.coefficients"

local model_of, table_of, node = coefficients.model_of, coefficients.table_of, coefficients.node
local constant, conv, ramp = coefficients.constant, coefficients.conv, coefficients.ramp

local run = coefficients.new()
before_each(run.open)
after_each(run.close)

local function gemm_model(op_type, transposed)
  return model_of({ 1, 3 }, function(g, x)
    local values = { 0.5, -0.25, 0.125, 0.75, -1, 0.0625 }
    if transposed then values = { 0.5, 0.125, -1, -0.25, 0.75, 0.0625 } end
    local w = constant(g, "w", values, transposed and { 2, 3 } or { 3, 2 })
    return node(g, op_type, "fc", { x, w }, "y", transposed and { transB = 1 } or nil)
  end)
end

describe("the C++ exporter", function()
  it("writes the elements of a fully connected layer in their order", function()
    local model = gemm_model("Gemm", true)
    local r = run.export(model, table_of(model))
    assert.is_true(r.ok)
    assert.equal([[
#include "coefficient.hpp"
using namespace dl;

namespace coefficient
{
    const static __attribute__((aligned(16))) int8_t fc_filter_element[] = {
            32,      8,    -64,    -16,     48,      4};

    const static Filter<int8_t> fc_filter(fc_filter_element, -6, {1, 1, 3, 2}, {1, 1});
    const Filter<int8_t> *get_fc_filter()
    {
    ]] .. "\t" .. [[return &fc_filter;
    }

}
]], r.cpp)
    assert.same({
      "Converting coefficient to int8 per-tensor quantization for esp32s3",
      ("Exporting finish, the output files are: %s/coefficient.cpp, %s/coefficient.hpp"):format(run.folder, run.folder),
    }, r.log)
  end)

  it("writes Gemm with and without transB, and MatMul, alike", function()
    for _, granularity in ipairs { "per-tensor", "per-channel" } do
      local texts = {}
      for i, model in ipairs { gemm_model("Gemm", true), gemm_model "Gemm", gemm_model "MatMul" } do
        local r = run.export(model, table_of(model, { granularity = granularity }), { granularity = granularity })
        assert.is_true(r.ok, r.message)
        texts[i] = r.cpp
      end
      assert.equal(texts[1], texts[2])
      assert.equal(texts[1], texts[3])
      assert.equal(granularity == "per-channel", texts[1]:find("fc_filter_exponent[] = {-6, -7};", 1, true) ~= nil)
    end
  end)

  it("gives a single bias number to every channel, and none where beta is 0", function()
    local function with_bias(attrs)
      return model_of({ 1, 2 }, function(g, x)
        local w = constant(g, "w", { 1, 0, 0, 1 }, { 2, 2 })
        return node(g, "Gemm", "fc", { x, w, constant(g, "b", { 0.5 }, { 1 }) }, "y", attrs)
      end)
    end
    local model = with_bias()
    local r = run.export(model, table_of(model))
    assert.matches("fc_bias_element%[%] = {\n             8,      8};", r.cpp)
    assert.matches("fc_bias%(fc_bias_element, %-4, {2,}%)", r.cpp)
    model = with_bias { beta = 0.0 }
    assert.is_nil(run.export(model, table_of(model)).cpp:find "bias")
  end)

  it("computes the bias' exponent from its own node where two share it", function()
    local model = model_of({ 1, 2 }, function(g, x)
      local w, b = constant(g, "w", { 1, 0, 0, 1 }, { 2, 2 }), constant(g, "b", { 0.5, 1 }, { 2 })
      return node(g, "Gemm", "two", { node(g, "Gemm", "one", { x, w, b }, "h"), w, b }, "y")
    end)
    local t = table_of(model)
    t:set("y", "activation", { -2 })
    t:set("b", "bias", { -2 })
    local r = run.export(model, t)
    assert.matches("one_bias%(one_bias_element, %-4, ", r.cpp)
    assert.matches("two_bias%(two_bias_element, %-2, ", r.cpp)
  end)

  it("quantizes slopes, those of a LeakyRelu without alpha too", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x)
      local y = node(g, "LeakyRelu", "act", { conv(g, x, "c", "h", 2, 2) }, "a")
      local pooled = node(g, "MaxPool", "pool", { y }, "p", { kernel_shape = { 1, 1 } })
      return node(g, "PRelu", "slopes", { pooled, constant(g, "s", { 0.5, 0.25 }, { 2, 1, 1 }) }, "y")
    end)
    local r = run.export(model, table_of(model))
    assert.is_true(r.ok, r.message)
    assert.matches("c_activation_element%[%] = {\n            82};", r.cpp)
    assert.matches("c_activation%(LeakyReLU, c_activation_element, %-13, {1,}%)", r.cpp)
    assert.matches("slopes_activation_element%[%] = {\n            64,     32};", r.cpp)
    assert.matches("slopes_activation%(PReLU, slopes_activation_element, %-7, {2,}%)", r.cpp)
  end)

  it("writes one-dimensional convolutions as rows", function()
    local model = model_of({ 1, 2, 9 }, function(g, x)
      return node(g, "Conv", "c", { x, constant(g, "w", ramp(18), { 3, 2, 3 }) }, "y", { dilations = { 2 } })
    end)
    local r = run.export(model, table_of(model))
    assert.matches("{1, 3, 2, 3}, {1, 2}%)", r.cpp)
  end)

  it("warns of a weight in the order of ONNX behind a flattened image", function()
    local function flattened(shape)
      local model = model_of(shape, function(g, x)
        local count = shape[2] * shape[3] * shape[4]
        return node(g, "Gemm", "fc", { node(g, "Flatten", "f", { x }, "flat"),
          constant(g, "w", ramp(count * 2), { count, 2 }) }, "y")
      end)
      return table.concat(run.export(model, table_of(model)).log, "\n")
    end
    assert.matches("warning: Gemm 'fc' reads a flattened image", flattened { 1, 3, 2, 2 })
    assert.is_nil(flattened({ 1, 1, 2, 2 }):find "warning")
    assert.is_nil(flattened({ 1, 3, 1, 1 }):find "warning")
  end)

  it("warns of what the file cannot hold", function()
    local model = model_of({ 1, 4, 3, 3 }, function(g, x)
      local w = constant(g, "w", ramp(8), { 4, 2, 1, 1 })
      local y = node(g, "Conv", "grouped", { x, w }, "h", { group = 2 })
      return node(g, "Add", "offset", { y, constant(g, "k", { 0.5 }, { 1 }) }, "y")
    end)
    local r = run.export(model, table_of(model))
    assert.is_true(r.ok, r.message)
    local log = table.concat(r.log, "\n")
    assert.matches("warning: .*grouped.*no convolution of 2 groups with 4 input and 4 output channels", log)
    assert.matches("warning: .*offset.*its constant 'k' is not in the file", log)
  end)
end)

describe("core.pack_filter", function()
  local t = core.tensor_from({ 1, 2, 3, 4, 5, 6 }, "int8", { 2, 3 })

  it("reorders, and appends a tail when asked to", function()
    assert.same({ 1, 2, 3, 4, 5, 6 }, core.pack_filter(t, { axes = "oi", target = "esp32" }):totable())
    local io = t:reshape { 3, 2 }
    assert.same({ 1, 3, 5, 2, 4, 6 }, core.pack_filter(io, { axes = "io", target = "esp32s3" }):totable())
    assert.equal(32, core.pack_filter(t, { axes = "oi", target = "esp32", tail = true }).count)
    assert.equal(16, core.pack_filter(t:astype "int16", { axes = "oi", target = "esp32", tail = true }).count)
  end)

  it("returns what the tensor has wrong and raises what the caller has", function()
    local ok, message, code = core.pack_filter(t:astype "float32", { axes = "oi", target = "esp32" })
    assert.same({ nil, "format" }, { ok, code })
    assert.matches("float32", message)
    assert.is_nil((core.pack_filter(t, { axes = "oihw", target = "esp32" })))
    assert.has_error(function() core.pack_filter(t, { axes = "oi", target = "esp8266" }) end)
    assert.has_error(function() core.pack_filter(t, { axes = "oi" }) end)
    assert.has_error(function() core.pack_filter(t, { axes = "oi", target = "esp32", order = 1 }) end)
    assert.has_error(function() core.format_elements "x" end)
  end)

  it("formats elements", function()
    assert.equal("             1,      2", core.format_elements(core.tensor_from({ 1, 2 }, "int8")))
    assert.equal("        -32768", core.format_elements(core.tensor_from({ -32768 }, "int16")))
    assert.equal("format", select(3, core.format_elements(core.tensor { 1 })))
  end)
end)
