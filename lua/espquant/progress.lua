--- Progress on standard error: a bar with steps per second and the time left on a terminal, nothing in a pipe or with TERM=dumb.
---
---     local bar = progress.new { title = "calibrate", total = #images }
---     for i = 1, #images do ... bar:update(i) end
---     bar:close()                      -- or `local bar <close> = ...`: an error removes it as well

local M = {}

local WIDTH = 24

local Bar = {}
Bar.__index = Bar

local function is_terminal()
  if os.getenv "TERM" == "dumb" then return false end
  local found, core = pcall(require, "espquant.core")
  return found and core.isatty ~= nil and core.isatty(2)
end

--- Seconds as "42 s", "3:05" or "1:02:03".
function M.duration(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then return ("%d s"):format(seconds) end
  if seconds < 3600 then return ("%d:%02d"):format(seconds // 60, seconds % 60) end
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
end

--- A bar. Options: title, total (steps; nil: unknown, only counted); for tests also terminal, write, now.
function M.new(options)
  local terminal = options.terminal
  if terminal == nil then terminal = is_terminal() end
  local bar = {
    title = options.title,
    total = options.total and math.max(options.total, 1),
    write = options.write or function(text) io.stderr:write(text) end,
    now = options.now or os.time,
    shown = terminal,
    length = 0,
  }
  bar.start = bar.now()
  return setmetatable(bar, Bar)
end

local function rate(per_second)
  return (per_second < 10 and "%.1f/s" or "%.0f/s"):format(per_second)
end

--- What the bar looks like when `done` steps are done.
function Bar:text(done)
  if not self.total then return ("%s: %d"):format(self.title, done) end
  local share = math.max(0, math.min(1, done / self.total))
  local filled = math.floor(share * WIDTH)
  local elapsed = self.now() - self.start
  local known = share > 0 and share < 1 and elapsed >= 2
  local left = known and ("%s, %s left"):format(rate(done / elapsed), M.duration(elapsed / share - elapsed)) or ""
  return ("%s [%s%s] %3d %% %s"):format(self.title, ("#"):rep(filled), ("."):rep(WIDTH - filled),
    math.floor(share * 100), left)
end

--- Shows that `done` steps are done; cheap when the picture would not change.
function Bar:update(done)
  if not self.shown then return end
  local text = self:text(done)
  if text == self.last then return end
  self.last = text
  self.write("\r" .. text .. (" "):rep(self.length - #text))
  self.length = #text
end

--- Removes the bar: the terminal is as it was before.
function Bar:close()
  if not self.shown or self.length == 0 then return end
  self.write("\r" .. (" "):rep(self.length) .. "\r")
  self.length = 0
  self.last = nil
end

Bar.__close = Bar.close

return M
