--- Proof that the asan lane sees defects: spec/c/defects.c has three, each must be reported.

local process = require "spec.support.process"

local function defect(chunk)
  return process.run({ "lua5.4", "-e", 'local defects = require "espquant_defects" ' .. chunk },
    { env = process.lua_env })
end

describe("the sanitizers #asan", function()
  it("let a clean child pass", function()
    local r = defect "print(defects ~= nil)"
    assert.equal("", r.stderr)
    assert.equal(0, r.status)
    assert.equal("true\n", r.stdout)
  end)

  it("report a read behind a heap block, with the function's name", function()
    local r = defect "defects.heap_overflow(24)"
    assert.not_equal(0, r.status)
    assert.matches("heap%-buffer%-overflow", r.stderr)
    assert.matches("in heap_overflow .*defects%.c", r.stderr)
  end)

  it("report a leak, with the function's name", function()
    local r = defect "defects.leak(1234)"
    assert.not_equal(0, r.status)
    assert.matches("1234 byte", r.stderr)
    assert.matches("in leak .*defects%.c", r.stderr)
  end)

  it("report undefined arithmetic and stop", function()
    local r = defect "print(defects.signed_overflow(1))"
    assert.not_equal(0, r.status)
    assert.matches("signed integer overflow", r.stderr)
    assert.equal("", r.stdout)
  end)
end)
