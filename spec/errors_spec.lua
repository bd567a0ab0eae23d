local errors = require "espquant.errors"

describe("errors", function()
  it("print their message and their problems", function()
    local err = errors.new("unsupported", "2 nodes cannot be quantized", { "Conv_1: group", { message = "Gelu_2" } })
    assert.equal("2 nodes cannot be quantized\n  - Conv_1: group\n  - Gelu_2", tostring(err))
    assert.equal("unsupported", err.code)
    assert.is_true(errors.is(err))
    assert.is_false(errors.is "text")
    assert.is_false(errors.is(nil))
  end)

  it("check passes all values of a success on", function()
    assert.same({ 1, "b", 3 }, { errors.check(1, "b", 3) })
    assert.same({ 0 }, { errors.check(0) })
  end)

  it("check raises for nil and false", function()
    local ok, err = pcall(errors.check, nil, "no such file: a.onnx", "io", { "p" })
    assert.is_false(ok)
    assert.same({ "io", "no such file: a.onnx", { "p" } }, { err.code, err.message, err.problems })
    ok, err = pcall(errors.check, false)
    assert.is_false(ok)
    assert.same({ "bug", "unknown error" }, { err.code, err.message })
  end)

  it("check does not wrap an error object again", function()
    local first = errors.new("limit", "too large")
    local _, err = pcall(errors.check, nil, first)
    assert.equal(first, err)
  end)

  it("pass lack of memory on through errors.pcall, and nothing else", function()
    for _, raised in ipairs { "not enough memory", errors.new("memory", "t: not enough memory") } do
      local ok, err = pcall(errors.pcall, error, raised, 0)
      assert.same({ false, raised }, { ok, err })
    end
    for _, raised in ipairs { "no", errors.new("io", "not enough memory"), {}, false } do
      assert.same({ true, false, raised }, { pcall(errors.pcall, error, raised, 0) })
    end
    assert.same({ true, 1, 2 }, { errors.pcall(function(...) return ... end, 1, 2) })
  end)

  it("have documented exit codes", function()
    local codes = {}
    for _, code in ipairs { "io", "format", "unsupported", "limit", "memory", "bug", "never heard of" } do
      codes[#codes + 1] = errors.exit_code(code)
    end
    assert.same({ 3, 3, 4, 5, 5, 70, 70 }, codes)
  end)
end)
