-- Coefficient files: byte for byte the original's on its recorded cases, and what the original leaves open.
local core = require "espquant.core"
local cpp = require "espquant.export.cpp"
local cpp_names = require "espquant.export.cpp_names"
local fixtures = require "spec.support.fixtures"
local process = require "spec.support.process"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function entries(folder)
  local pipe = assert(io.popen("ls -A '" .. folder .. "' | sort"))
  local list = {}
  for name in pipe:lines() do list[#list + 1] = name end
  pipe:close()
  return list
end

local folder

before_each(function() folder = process.folder() end)
after_each(function() process.remove(folder) end)

-- Runs write into the folder; returns its results as a table, the files and the logged lines.
local function export(model, t, options)
  local r = { log = {} }
  local all = {
    bits = 8, granularity = "per-tensor", target = "esp32s3", path = folder, name = "coefficient",
    log = function(line) r.log[#r.log + 1] = line end,
  }
  for key, value in pairs(options or {}) do all[key] = value end
  r.ok, r.message, r.code, r.problems = cpp.write(model, t, all)
  r.cpp, r.hpp = read(folder .. "/" .. all.name .. ".cpp"), read(folder .. "/" .. all.name .. ".hpp")
  return r
end

describe("coefficient files of the original", function()
  local compared = { cases = 0, files = 0, bytes = 0 }

  local function recorded(case)
    local list = {}
    for path in pairs(case.files) do
      local config, chip = path:match "^([^/]+)/cpp_(%w+)/coefficient%.cpp$"
      if config then list[#list + 1] = { config = config, chip = chip, at = config .. "/cpp_" .. chip .. "/" } end
    end
    return list
  end

  local function compare(label, expected, got)
    assert.is_true(expected == got, label .. " differs")
    compared.files, compared.bytes = compared.files + 1, compared.bytes + #expected
  end

  local function check(case, record, mode)
    local label = ("%s %s %s %s"):format(case.name, record.config, record.chip, mode)
    local bits, granularity = record.config:match "^int(%d+)%-(per%-%w+)"
    local table_path = process.write_file(folder .. "/table.pickle", case.bytes(record.config .. "/table.pickle"))
    local r = export(assert(core.onnx_decode(case.bytes "model.onnx")), assert(qtable.load(table_path)), {
      bits = tonumber(bits), granularity = granularity, target = record.chip, mode = mode, print_model_info = true,
    })
    assert.is_true(r.ok, label .. ": " .. tostring(r.message))
    compare(label .. " cpp", case.bytes(record.at .. "coefficient.cpp"), r.cpp)
    compare(label .. " hpp", case.bytes(record.at .. "coefficient.hpp"), r.hpp)
    local lines = {}
    for _, line in ipairs(r.log) do
      if not line:match "^warning: " then lines[#lines + 1] = line:gsub(folder, "cpp_" .. record.chip) .. "\n" end
    end
    compare(label .. " stdout", case.bytes(record.at .. "stdout.txt"), table.concat(lines))
    compared.cases = compared.cases + 1
  end

  for _, name in ipairs(fixtures.CASES) do
    it("are written the same in both modes: " .. name, function()
      local case = fixtures.open(name)
      for _, record in ipairs(recorded(case)) do
        check(case, record, "original")
        check(case, record, "chip")
      end
    end)
  end

  it("have all been compared", function()
    assert.is_true(compared.cases >= 90, compared.cases .. " exports compared")
    print(("coefficients: %d exports, %d files and logs, %.1f MB identical"):format(compared.cases, compared.files,
      compared.bytes / 1e6))
  end)
end)

-- --- small models -------------------------------------------------------------------------------------------------

-- A graph with input "x" of the given shape; build(g, value) returns the output value.
local function model_of(shape, build)
  local g = core.graph { name = "test", opset = 13, ir_version = 7 }
  g:add_output(build(g, g:add_input("x", "float32", shape)))
  assert(g:infer_shapes())
  return g
end

local function constant(g, name, values, shape)
  return g:add_constant(name, core.tensor_from(values, "float32", shape))
end

local function ramp(n)
  local list = {}
  for i = 1, n do list[i] = (i * 7 % 23 - 11) / 16 end
  return list
end

local function node(g, op_type, name, inputs, output, attrs)
  return g:add_node { op_type = op_type, name = name, inputs = inputs, outputs = { output }, attrs = attrs }:output(1)
end

local function conv(g, x, name, output, channels_in, channels_out)
  local w = constant(g, output .. ".w", ramp(channels_in * channels_out), { channels_out, channels_in, 1, 1 })
  return node(g, "Conv", name, { x, w }, output, { group = 1, dilations = { 1, 1 } })
end

-- The policy's table with every activation at 2^-4.
local function table_of(model, options)
  options = options or {}
  return assert(quant.v1.build(model, {
    bits = options.bits or 8, granularity = options.granularity or "per-tensor", mode = options.mode or "chip",
  }, function(names)
    local found = {}
    for _, name in ipairs(names) do found[name] = -4 end
    return found
  end))
end

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
    local r = export(model, table_of(model))
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
      ("Exporting finish, the output files are: %s/coefficient.cpp, %s/coefficient.hpp"):format(folder, folder),
    }, r.log)
  end)

  it("writes Gemm with and without transB, and MatMul, alike", function()
    for _, granularity in ipairs { "per-tensor", "per-channel" } do
      local texts = {}
      for i, model in ipairs { gemm_model("Gemm", true), gemm_model "Gemm", gemm_model "MatMul" } do
        local r = export(model, table_of(model, { granularity = granularity }), { granularity = granularity })
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
    local r = export(model, table_of(model))
    assert.matches("fc_bias_element%[%] = {\n             8,      8};", r.cpp)
    assert.matches("fc_bias%(fc_bias_element, %-4, {2,}%)", r.cpp)
    model = with_bias { beta = 0.0 }
    assert.is_nil(export(model, table_of(model)).cpp:find "bias")
  end)

  it("computes the bias' exponent from its own node where two share it", function()
    local model = model_of({ 1, 2 }, function(g, x)
      local w, b = constant(g, "w", { 1, 0, 0, 1 }, { 2, 2 }), constant(g, "b", { 0.5, 1 }, { 2 })
      return node(g, "Gemm", "two", { node(g, "Gemm", "one", { x, w, b }, "h"), w, b }, "y")
    end)
    local t = table_of(model)
    t:set("y", "activation", { -2 })
    t:set("b", "bias", { -2 })
    local r = export(model, t)
    assert.matches("one_bias%(one_bias_element, %-4, ", r.cpp)
    assert.matches("two_bias%(two_bias_element, %-2, ", r.cpp)
  end)

  it("quantizes slopes, those of a LeakyRelu without alpha too", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x)
      local y = node(g, "LeakyRelu", "act", { conv(g, x, "c", "h", 2, 2) }, "a")
      local pooled = node(g, "MaxPool", "pool", { y }, "p", { kernel_shape = { 1, 1 } })
      return node(g, "PRelu", "slopes", { pooled, constant(g, "s", { 0.5, 0.25 }, { 2, 1, 1 }) }, "y")
    end)
    local r = export(model, table_of(model))
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
    local r = export(model, table_of(model))
    assert.matches("{1, 3, 2, 3}, {1, 2}%)", r.cpp)
  end)

  it("warns of what the file cannot hold", function()
    local model = model_of({ 1, 4, 3, 3 }, function(g, x)
      local w = constant(g, "w", ramp(8), { 4, 2, 1, 1 })
      local y = node(g, "Conv", "grouped", { x, w }, "h", { group = 2 })
      return node(g, "Add", "offset", { y, constant(g, "k", { 0.5 }, { 1 }) }, "y")
    end)
    local r = export(model, table_of(model))
    assert.is_true(r.ok, r.message)
    local log = table.concat(r.log, "\n")
    assert.matches("warning: .*grouped.*no convolution of 2 groups with 4 input and 4 output channels", log)
    assert.matches("warning: .*offset.*its constant 'k' is not in the file", log)
  end)
end)

describe("names in the C++ file", function()
  local function namer(chip)
    local log = {}
    local names = cpp_names.new { chip = chip, log = function(line) log[#log + 1] = line end }
    local function layer(name, output)
      return names:layer {
        name = name, output = function() return { name = output } end, label = function() return "'" .. name .. "'" end,
      }
    end
    return layer, log, names
  end

  it("follow the original's rule and print what they replace", function()
    local layer, log = namer(false)
    assert.equal("fused_gemm_0", layer "fused_gemm_0")
    assert.equal("a_b_c_d_e_1", layer "a/b:c-D.e_1")
    assert.equal("_1x", layer "1X")
    assert.equal("\xC3\xA9t\xC3\xA9", layer "\xC3\xA9T\xC3\xA9")
    assert.equal("same", layer "same")
    assert.equal("same", layer "Same")
    assert.same({ "/", ":", "-", "." }, log)
  end)

  it("are different and plain ASCII on the chip", function()
    local layer, log = namer(true)
    assert.equal("conv", layer "conv")
    assert.equal("conv_2", layer "CONV")
    assert.equal("conv_2_2", layer "conv_2")
    assert.equal("conv_3", layer "conv")
    assert.equal("_t_", layer "\xC3\xA9t\xC3\xA9")
    assert.equal("__", layer "\xFF\xFE")
    assert.equal("int", layer "int")
    assert.equal(3, #log)
  end)

  it("keep an object of one layer from the getter of another", function()
    local layer = namer(true)
    assert.equal("a", layer "a")
    assert.equal("get_a_2", layer "get_a")
    assert.equal("get_b", layer "get_b")
    assert.equal("b_2", layer "b")
  end)

  it("come from the output where a node has none", function()
    local layer, log = namer(true)
    assert.equal("_12", layer("", "12"))
    assert.equal("_12_2", layer("", "12"))
    assert.equal(2, #log)
  end)

  it("make a namespace of every file name", function()
    local _, log, names = namer(true)
    assert.equal("mnist_coefficient", names:namespace "mnist_coefficient")
    assert.same({}, log)
    assert.equal("my_model_v2", names:namespace "my-model.v2")
    assert.equal("_8bit", names:namespace "8bit")
    assert.equal("class_", names:namespace "class")
    assert.equal("dl_", names:namespace "dl")
    assert.equal(4, #log)
    _, log, names = namer(false)
    assert.equal("class", names:namespace "class")
    assert.same({}, log)
  end)

  it("are used for getters and the #include", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x) return conv(g, conv(g, x, "", "h", 2, 2), "h", "y", 2, 2) end)
    local r = export(model, table_of(model), { name = "my-model" })
    assert.is_true(r.ok, r.message)
    assert.matches('#include "my%-model.hpp"', r.cpp)
    assert.matches("namespace my_model\n", r.hpp)
    assert.matches("get_h_filter%(%)", r.hpp)
    assert.matches("get_h_2_filter%(%)", r.hpp)
  end)
end)

describe("the C++ exporter's refusals", function()
  local function two_convs(g, x) return conv(g, conv(g, x, "first", "h", 2, 2), "second", "y", 2, 2) end

  local function refused(r, pattern, code)
    assert.is_nil(r.ok)
    assert.matches(pattern, r.message)
    assert.equal(code, r.code)
    assert.is_nil(r.cpp)
    assert.is_nil(r.hpp)
    assert.same({}, entries(folder))
  end

  it("name every entry that is missing or does not fit, with its node", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local t = qtable.new {}
    t:set("h.w", "weight", { -6, -6 })
    t:set("x", "input", { -7 })
    t:set("y", "activation", { -math.huge })
    local r = export(model, t, { print_model_info = true })
    refused(r, "first.*and 3 more", "format")
    local problems = table.concat(r.problems, "\n")
    assert.matches("first.* weight 'h.w' has 2 exponents in the table, expected 1", problems)
    assert.matches("second.* weight 'y.w' has no entry in the table", problems)
    assert.matches("first.* output 'h' has no entry in the table", problems)
    assert.matches("second.* output 'y' has a scale of 2^%-inf", problems)
  end)

  it("name scales that are no power of two and exponents that no int8_t holds", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local t = table_of(model)
    t:set("h.w", "weight").scales = { 0.3 }
    t:set("y.w", "weight", { -128 })
    local r = export(model, t)
    refused(r, "no power of two", "format")
    assert.matches("second.*exponent %-128, which is outside", r.problems[2])
    r = export(model, t, { mode = "original" })
    assert.equal(1, #r.problems)
  end)

  it("tell a table of another width, granularity or runtime", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    refused(export(model, table_of(model), { bits = 16 }), "table's bits is 8, expected 16", "format")
    local r = export(model, table_of(model), { granularity = "per-channel" })
    refused(r, "granularity is per%-tensor, expected per%-channel", "format")
    assert.matches("1 exponents in the table, expected 2", r.problems[2])
  end)

  it("pass on what the chip cannot do, in chip mode", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x)
      return node(g, "Sigmoid", "s", { two_convs(g, x) }, "out")
    end)
    local r = export(model, qtable.new {})
    refused(r, "'s'", "unsupported")
    assert.equal(1, #r.problems)
  end)

  it("are the original's in original mode, with names", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x)
      local w = constant(g, "w", ramp(4), { 2, 2, 1, 1 })
      local y = node(g, "Conv", "bare", { x, w }, "h")
      return node(g, "LeakyRelu", "", { node(g, "MaxPool", "p", { y }, "m", { kernel_shape = { 1, 1 } }) }, "y")
    end)
    local t = table_of(model, { mode = "original" })
    local r = export(model, t, { mode = "original" })
    refused(r, "bare", "format")
    local problems = table.concat(r.problems, "\n")
    assert.matches("bare.*local variable 'operation' referenced before assignment", problems)
    assert.matches("bare.*local variable 'dilation' referenced before assignment", problems)
    assert.matches("string index out of range", problems)
    assert.matches("local variable 'alpha' referenced before assignment", problems)
    assert.equal(4, #r.problems)
    assert.is_true(export(model, table_of(model)).ok)
  end)

  it("name a target that does not exist; only the original's mode announces the conversion before", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local line = "Converting coefficient to int8 per-tensor quantization for esp32p4"
    for mode, log in pairs { chip = {}, original = { line } } do
      local r = export(model, table_of(model), { target = "esp32p4", mode = mode })
      refused(r, "no target 'esp32p4' of ESP%-DL v1: expected esp32, esp32s2, esp32c3, esp32s3", "unsupported")
      assert.same(log, r.log)
    end
  end)

  it("keep the files inside their folder", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    for _, name in ipairs { "", "../x", "a/b", 'a"b', "a\nb", "a\\b" } do
      local ok, message, code = cpp.write(model, table_of(model), { path = folder, name = name, log = function() end })
      assert.is_nil(ok)
      assert.matches("is no name for the files", message)
      assert.equal("format", code)
    end
    assert.same({}, entries(folder))
  end)

  it("raise for options that do not exist", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local t = table_of(model)
    assert.has_error(function() cpp.write(model, t, { bits = 4 }) end, "bits: 8 or 16 expected")
    assert.has_error(function() cpp.write(model, t, { granularity = "x" }) end)
    assert.has_error(function() cpp.write(model, t, { mode = "x" }) end)
    assert.has_error(function() cpp.write(model, t, { bits = 16, granularity = "per-channel" }) end)
  end)

  it("leave both files as they were", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local t = table_of(model)
    local r = export(model, t, { path = folder .. "/missing" })
    refused(r, "cannot write into folder '.*/missing': No such file or directory", "io")
    assert.same({}, r.log)
    r = export(model, t, { path = folder .. "/missing", mode = "original" })
    refused(r, "missing/coefficient.cpp", "io")
    assert.is_nil(r.message:find("espquant-new", 1, true))
    assert(os.execute("mkdir '" .. folder .. "/coefficient.hpp'"))
    r = export(model, t)
    assert.is_nil(r.ok)
    assert.equal("io", r.code)
    assert.matches("coefficient.hpp", r.message)
    assert.same({ "coefficient.hpp" }, entries(folder))
    process.write_file(folder .. "/coefficient.cpp", "old")
    assert.is_nil(export(model, t).ok)
    assert.equal("old", read(folder .. "/coefficient.cpp"))
    assert.same({ "coefficient.cpp", "coefficient.hpp" }, entries(folder))
  end)

  it("come before anything is replaced", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    process.write_file(folder .. "/coefficient.cpp", "old")
    assert.is_nil(export(model, qtable.new {}).ok)
    assert.equal("old", read(folder .. "/coefficient.cpp"))
    assert.is_true(export(model, table_of(model)).ok)
    assert.same({ "coefficient.cpp", "coefficient.hpp" }, entries(folder))
    assert.matches("first_filter", read(folder .. "/coefficient.cpp"))
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
