-- Names in C++ files.
local coefficients = require "spec.support.coefficients"
local cpp_names = require "espquant.export.cpp_names"
local process = require "spec.support.process"

local model_of, table_of, conv = coefficients.model_of, coefficients.table_of, coefficients.conv

local run = coefficients.new()
before_each(run.open)
after_each(run.close)

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
    assert.equal("Filter_", names:namespace "Filter")
    assert.equal("time_", names:namespace "time")
    assert.equal(6, #log)
    _, log, names = namer(false)
    assert.equal("class", names:namespace "class")
    assert.same({}, log)
  end)

  it("are used for getters and the #include", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x) return conv(g, conv(g, x, "", "h", 2, 2), "h", "y", 2, 2) end)
    local r = run.export(model, table_of(model), { name = "my-model" })
    assert.is_true(r.ok, r.message)
    assert.matches('#include "my%-model.hpp"', r.cpp)
    assert.matches("namespace my_model\n", r.hpp)
    assert.matches("get_h_filter%(%)", r.hpp)
    assert.matches("get_h_2_filter%(%)", r.hpp)
  end)

  it("compile, whatever they were #unit", function()
    local names = {
      "int", "class", "a/b", "a-b", "A_b", "\xC3\xA9t\xC3\xA9", "\xC3\xA0t\xC3\xA0", "1", "get_x", "x", "NULL",
      "Filter", 'q"; #error', "\xFF", "*/ /*", "line\nbreak",
    }
    local model = model_of({ 1, 2, 3, 3 }, function(g, x)
      for i, name in ipairs(names) do x = conv(g, x, name, "h" .. i, 2, 2) end
      return x
    end)
    for _, file in ipairs { "class", "Filter", "time", "\xC3\xA9", "main" } do
      local r = run.export(model, table_of(model), { name = file, granularity = "per-tensor" })
      assert.is_true(r.ok, r.message)
      local stub = process.root .. "/spec/codegen/stub"
      local compiled = process.run {
        "g++", "-std=c++17", "-Wall", "-fsyntax-only", "-I" .. stub, run.folder .. "/" .. file .. ".cpp",
      }
      assert.equal("", compiled.stderr)
    end
  end)
end)
