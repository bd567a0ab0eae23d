--- Runs another process for a spec and returns what it did.
---
---     local r = process.run({ "build/bin/espquant", "-v" }, { cwd = "/tmp", stdin = "text", env = { A = "b" } })
---     r.status, r.stdout, r.stderr
---
--- `process.espquant` is the absolute path of the launcher under test, `process.root` the checkout.

local M = {}

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function read_and_remove(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  os.remove(path)
  return text
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "l"
  pipe:close()
  return line
end

M.root = output_of "pwd -P"
M.build = M.root .. "/" .. (os.getenv "ESPQ_BUILD" or "build")
M.espquant = M.build .. "/bin/espquant"

--- The environment for `lua5.4` children that load espquant from the checkout.
M.lua_env = {
  LUA_PATH = M.root .. "/lua/?.lua;" .. M.root .. "/lua/?/init.lua;;",
  LUA_CPATH = M.build .. "/lib/lua/5.4/?.so;" .. M.build .. "/spec/?.so;;",
}

--- An empty folder of its own; M.remove deletes it.
function M.folder()
  return output_of "mktemp -d"
end

function M.remove(folder)
  assert(folder:match "^/tmp/" or folder:match "^/var/", folder)
  os.execute("rm -rf " .. quote(folder))
end

function M.write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

local function command_line(argv, options)
  local words = { "env" }
  for name, value in pairs(options.env or {}) do words[#words + 1] = quote(name .. "=" .. value) end
  for _, word in ipairs(argv) do words[#words + 1] = quote(word) end
  local line = table.concat(words, " ")
  return options.cwd and "cd " .. quote(options.cwd) .. " && exec " .. line or "exec " .. line
end

-- What LeakSanitizer of gcc 12 says when it crashes itself while it looks at the threads of a process that ends: no
-- finding, so the process is run again without it.
local SANITIZER_CRASHED = "LeakSanitizer has encountered a fatal error"

local function run_once(argv, options)
  local out, err, input = os.tmpname(), os.tmpname(), "/dev/null"
  if options.stdin then input = M.write_file(os.tmpname(), options.stdin) end
  local _, how, status = os.execute(("(%s) >%s 2>%s <%s"):format(command_line(argv, options), out, err, input))
  if options.stdin then os.remove(input) end
  return {
    status = how == "signal" and 128 + status or status,
    stdout = read_and_remove(out),
    stderr = read_and_remove(err),
  }
end

--- Runs argv without a shell's interpretation; options: cwd, stdin (text, default none), env.
function M.run(argv, options)
  options = options or {}
  local result = run_once(argv, options)
  if not result.stderr:find(SANITIZER_CRASHED, 1, true) then return result end
  local env = { ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0" }
  for name, value in pairs(options.env or {}) do env[name] = value end
  return run_once(argv, { cwd = options.cwd, stdin = options.stdin, env = env })
end

return M
