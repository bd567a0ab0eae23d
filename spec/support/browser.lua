--- A headless Chromium, driven by Debian's chromedriver over HTTP (the WebDriver protocol).
---
---     local page <close> = browser.open("/tmp/report.html", 1280, 900)
---     page:run "return document.title"         -- what the script returns, as Lua values
---     page:log()                               -- the lines of the console, warnings and errors
---     page:screenshot("/tmp/report.png", true)  -- true: all of the page, not only the window
---     page:media { ["prefers-color-scheme"] = "dark" }
---
--- browser.missing is nil, or says what is not installed.

local json = require "espquant.json"
local process = require "spec.support.process"

local M = {}

local function has(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1")
end

M.missing = not (has "chromium" and has "chromedriver" and has "curl") and "chromium, chromium-driver or curl" or nil

local Page = {}
Page.__index = Page

local function call(self, method, path, body)
  local words = { "curl", "-s", "-m", "60", "-X", method, self.url .. path }
  if body then
    table.move({ "-H", "Content-Type: application/json", "-d", "@-" }, 1, 4, #words + 1, words)
  end
  local r = process.run(words, { stdin = body and json.encode(body) or nil })
  local answer = r.status == 0 and json.decode(r.stdout)
  assert(answer, ("no answer from chromedriver to %s %s: %s"):format(method, path, r.stderr))
  if type(answer.value) == "table" and answer.value.error then error(answer.value.message) end
  return answer.value
end

-- chromedriver chooses a free port and says which.
local function start_driver(self)
  self.folder = process.folder()
  local log = self.folder .. "/driver.log"
  local pipe = assert(io.popen(("cd '%s' && exec 3>&- && (chromedriver --port=0 >'%s' 2>&1 & echo $!)"):format(
    self.folder, log)))
  self.pid = assert(pipe:read "n")
  pipe:close()
  for _ = 1, 200 do
    local file = io.open(log)
    local port = file and file:read("a"):match "started successfully on port (%d+)"
    if file then file:close() end
    if port then
      self.url = "http://127.0.0.1:" .. port
      return
    end
    os.execute "sleep 0.05"
  end
  error "chromedriver did not start"
end

--- Opens a file in a window of that size, and waits until the page says that it is ready (data-ready of its body).
function M.open(path, width, height)
  local self = setmetatable({}, Page)
  start_driver(self)
  local session = call(self, "POST", "/session", { capabilities = { alwaysMatch = {
    ["goog:chromeOptions"] = { args = json.array {
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
      "--user-data-dir=" .. self.folder .. "/profile", ("--window-size=%d,%d"):format(width, height),
    } },
    ["goog:loggingPrefs"] = { browser = "ALL" },
  } } })
  self.url = self.url .. "/session/" .. session.sessionId
  call(self, "POST", "/url", { url = "file://" .. path })
  -- A window has a least width; what the page sees is set apart from it.
  call(self, "POST", "/goog/cdp/execute", { cmd = "Emulation.setDeviceMetricsOverride", params = {
    width = width, height = height, deviceScaleFactor = 1, mobile = width < 700 } })
  for _ = 1, 100 do
    if self:run "return document.body.dataset.ready" == "yes" then break end
    os.execute "sleep 0.05"
  end
  return self
end

function Page:run(script)
  local value = call(self, "POST", "/execute/sync", { script = script, args = json.array() })
  if value == json.null then return nil end
  return value
end

function Page:log()
  local lines = {}
  for i, entry in ipairs(call(self, "POST", "/se/log", { type = "browser" })) do lines[i] = entry.message end
  return lines
end

-- Writes a PNG; of the whole page where `full`, else of the window.
function Page:screenshot(path, full)
  local text
  if full then
    text = call(self, "POST", "/goog/cdp/execute", { cmd = "Page.captureScreenshot",
      params = { captureBeyondViewport = true, format = "png" } }).data
  else
    text = call(self, "GET", "/screenshot")
  end
  process.run({ "sh", "-c", "base64 -d > '" .. path .. "'" }, { stdin = text })
end

--- Sets what the style sheet asks the device for.
function Page:media(features)
  local list = json.array()
  for name, value in pairs(features) do list[#list + 1] = { name = name, value = value } end
  call(self, "POST", "/goog/cdp/execute", { cmd = "Emulation.setEmulatedMedia", params = { features = list } })
end

function Page:__close()
  if self.url then pcall(call, self, "DELETE", "") end
  if self.pid then os.execute(("kill %d 2>/dev/null"):format(self.pid)) end
  process.remove(self.folder)
end

return M
