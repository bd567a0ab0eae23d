local progress = require "espquant.progress"
local process = require "spec.support.process"

-- A bar that writes into a list, on a clock that the test sets.
local function bar_on(terminal, total)
  local clock = { now = 100 }
  local written = {}
  local bar = progress.new {
    title = "calibrate",
    total = total,
    terminal = terminal,
    write = function(text) written[#written + 1] = text end,
    now = function() return clock.now end,
  }
  return bar, written, clock
end

describe("progress", function()
  it("writes nothing without a terminal", function()
    local bar, written = bar_on(false, 10)
    for i = 1, 10 do bar:update(i) end
    bar:close()
    assert.same({}, written)
  end)

  it("draws the share done and the time left, and removes itself", function()
    local bar, written, clock = bar_on(true, 4)
    clock.now = 110
    bar:update(1)
    assert.equal("\rcalibrate [######..................]  25 % 0.1/s, 30 s left", written[1])
    bar:close()
    local blank = written[2]:match "^\r( +)\r$"
    assert.equal(#written[1] - 1, #blank)
  end)

  it("is removed when an error leaves its scope", function()
    local bar, written = bar_on(true, 4)
    pcall(function()
      local scoped <close> = bar
      scoped:update(1)
      error "stop"
    end)
    assert.matches("^\r +\r$", written[2])
  end)

  it("covers a longer text by a shorter one", function()
    local bar, written, clock = bar_on(true, 4)
    clock.now = 110
    bar:update(3)
    bar:update(4)
    assert.equal(#written[1], #written[2])
    assert.matches("100 %% *$", written[2])
  end)

  it("writes only when the picture changes", function()
    local bar, written = bar_on(true, 100000)
    for i = 1, 1000 do bar:update(i) end
    assert.equal(2, #written)
  end)

  it("stays in its frame with a total of 0, too many steps, or no total", function()
    assert.matches("%] 100 %%", bar_on(true, 0):text(1))
    assert.matches("%] 100 %%", bar_on(true, 10):text(99))
    assert.equal("calibrate: 7", bar_on(true):text(7))
  end)

  it("says durations as people do", function()
    assert.equal("59 s", progress.duration(59.4))
    assert.equal("1:00", progress.duration(59.6))
    assert.equal("1:01:01", progress.duration(3661))
  end)

  it("is silent in a pipe", function()
    local r = process.run({ "lua5.4", "-e", [[
      local bar = require "espquant.progress".new { title = "x", total = 3 }
      for i = 1, 3 do bar:update(i) end
      bar:close()]] }, { env = process.lua_env })
    assert.same({ status = 0, stdout = "", stderr = "" }, r)
  end)
end)
