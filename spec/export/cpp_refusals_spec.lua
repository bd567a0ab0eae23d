-- What the C++ exporter refuses, with all problems at once, and that it then writes nothing.
local coefficients = require "spec.support.coefficients"
local cpp = require "espquant.export.cpp"
local process = require "spec.support.process"
local qtable = require "espquant.qtable"

local model_of, table_of, node = coefficients.model_of, coefficients.table_of, coefficients.node
local constant, conv, ramp = coefficients.constant, coefficients.conv, coefficients.ramp

local run = coefficients.new()
before_each(run.open)
after_each(run.close)

describe("the C++ exporter's refusals", function()
  local function two_convs(g, x) return conv(g, conv(g, x, "first", "h", 2, 2), "second", "y", 2, 2) end

  local function refused(r, pattern, code)
    assert.is_nil(r.ok)
    assert.matches(pattern, r.message)
    assert.equal(code, r.code)
    assert.is_nil(r.cpp)
    assert.is_nil(r.hpp)
    assert.same({}, run.entries())
  end

  it("name every entry that is missing or does not fit, with its node", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local t = qtable.new {}
    t:set("h.w", "weight", { -6, -6 })
    t:set("x", "input", { -7 })
    t:set("y", "activation", { -math.huge })
    local r = run.export(model, t, { print_model_info = true })
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
    local r = run.export(model, t)
    refused(r, "no power of two", "format")
    assert.matches("second.*exponent %-128, which is outside", r.problems[2])
    r = run.export(model, t, { mode = "original" })
    assert.equal(1, #r.problems)
  end)

  it("tell a table of another width, granularity or runtime", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    refused(run.export(model, table_of(model), { bits = 16 }), "table's bits is 8, expected 16", "format")
    local r = run.export(model, table_of(model), { granularity = "per-channel" })
    refused(r, "granularity is per%-tensor, expected per%-channel", "format")
    assert.matches("1 exponents in the table, expected 2", r.problems[2])
  end)

  it("pass on what the chip cannot do, in chip mode", function()
    local model = model_of({ 1, 2, 3, 3 }, function(g, x)
      return node(g, "Sigmoid", "s", { two_convs(g, x) }, "out")
    end)
    local r = run.export(model, qtable.new {})
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
    local r = run.export(model, t, { mode = "original" })
    refused(r, "bare", "format")
    local problems = table.concat(r.problems, "\n")
    assert.matches("bare.*local variable 'operation' referenced before assignment", problems)
    assert.matches("bare.*local variable 'dilation' referenced before assignment", problems)
    assert.matches("string index out of range", problems)
    assert.matches("local variable 'alpha' referenced before assignment", problems)
    assert.equal(4, #r.problems)
    assert.is_true(run.export(model, table_of(model)).ok)
  end)

  it("name a target that does not exist; only the original's mode announces the conversion before", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    local line = "Converting coefficient to int8 per-tensor quantization for esp32p4"
    for mode, log in pairs { chip = {}, original = { line } } do
      local r = run.export(model, table_of(model), { target = "esp32p4", mode = mode })
      refused(r, "no target 'esp32p4' of ESP%-DL v1: expected esp32, esp32s2, esp32c3, esp32s3", "unsupported")
      assert.same(log, r.log)
    end
  end)

  it("keep the files inside their run.folder", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    for _, name in ipairs { "", "../x", "a/b", 'a"b', "a\nb", "a\\b" } do
      local ok, message, code = cpp.write(model, table_of(model), {
        path = run.folder, name = name, log = function() end,
      })
      assert.is_nil(ok)
      assert.matches("is no name for the files", message)
      assert.equal("format", code)
    end
    assert.same({}, run.entries())
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
    local r = run.export(model, t, { path = run.folder .. "/missing" })
    refused(r, "cannot write into folder '.*/missing': No such file or directory", "io")
    assert.same({}, r.log)
    r = run.export(model, t, { path = run.folder .. "/missing", mode = "original" })
    refused(r, "missing/coefficient.cpp", "io")
    assert.is_nil(r.message:find("espquant-new", 1, true))
    assert(os.execute("mkdir '" .. run.folder .. "/coefficient.hpp'"))
    r = run.export(model, t)
    assert.is_nil(r.ok)
    assert.equal("io", r.code)
    assert.matches("coefficient.hpp", r.message)
    assert.same({ "coefficient.hpp" }, run.entries())
    process.write_file(run.folder .. "/coefficient.cpp", "old")
    assert.is_nil(run.export(model, t).ok)
    assert.equal("old", run.read("coefficient.cpp"))
    assert.same({ "coefficient.cpp", "coefficient.hpp" }, run.entries())
  end)

  it("come before anything is replaced", function()
    local model = model_of({ 1, 2, 3, 3 }, two_convs)
    process.write_file(run.folder .. "/coefficient.cpp", "old")
    assert.is_nil(run.export(model, qtable.new {}).ok)
    assert.equal("old", run.read("coefficient.cpp"))
    assert.is_true(run.export(model, table_of(model)).ok)
    assert.same({ "coefficient.cpp", "coefficient.hpp" }, run.entries())
    assert.matches("first_filter", run.read("coefficient.cpp"))
  end)
end)
