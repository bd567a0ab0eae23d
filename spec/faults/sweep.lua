--- Runs every case of cases.lua again and again, each time with another call of the system failing, in this process:
---
---     lua5.4 sweep.lua ROOT FAULTY_MODULE MODEL KIND[:ERRNO]/STRIDE ...
---
--- in an empty folder. KIND/41 lets every 41st call fail, KIND/200x 200 of them in each case, spread over all. What
--- must hold for each fault: the command ends with the exit code of that kind of error; every output is the old file or
--- the new one and nothing else has appeared; nothing of C is left over; the same command then does what it did before.
--- Prints what was wrong, a line each, and for each KIND "KIND: N faults, M wrong".

local root, module_path, model = table.unpack(arg, 1, 3)
local faults = assert(package.loadlib(module_path, "luaopen_espquant_faults"))()

local cases = require "spec.faults.cases"
local cli = require "espquant.cli"
local core = require "espquant.core"
local lfs = require "lfs"

local EXPECTED = { memory = 5, lua = 5, thread = 5 } -- 3, "io", for all others
-- Fewer threads do, not every file system knows links, and what a file is may be seen at a second look.
local MAY_PASS = { thread = true, link = true, open = true, read = true }
local OLD = "what was there before"
local output, errput = io.stdout, io.stderr
local MOST_WRONG = 200 -- lines
local kind, errno -- that of now
local wrong, tried = 0, 0

local function complain(case, n, text)
  wrong = wrong + 1
  output:write(("%s, %s:%s %d: %s\n"):format(case[1], kind, errno, n, text))
end

-- A stream that keeps what is written.
local function new_stream()
  local kept = {}
  local stream = { kept = kept }
  function stream:write(...)
    for _, text in ipairs { ... } do kept[#kept + 1] = text end
    return self
  end
  function stream.flush() return true end
  function stream.setvbuf() return true end
  return stream
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
end

-- The paths of all files in a folder and those below.
local function add_names(folder, list)
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    if name ~= "." and name ~= ".." then list[#list + 1] = path end
    if name ~= "." and name ~= ".." and lfs.attributes(path, "mode") == "directory" then add_names(path, list) end
  end
  return list
end

local function names()
  local list = add_names(".", {})
  table.sort(list)
  return table.concat(list, " ")
end

local function descriptors()
  local n = 0
  for _ in lfs.dir "/proc/self/fd" do n = n + 1 end
  return n
end

-- Runs it, with the nth call failing (0: none). Returns the exit code, what went to standard error, whether a call has
-- failed, and how many there were.
local function run(case, n)
  local command, arguments = require("espquant.commands." .. case[2][1]), { table.unpack(case[2], 2) }
  local out, err = new_stream(), new_stream()
  io.stdout, io.stderr = out, err
  faults.arm(kind, n, errno)
  local ok, status = pcall(cli.run_command, command, arguments)
  local calls, failed = faults.disarm()
  io.stdout, io.stderr = output, errput
  return ok and status or "raises " .. tostring(status), table.concat(err.kept), failed, calls
end

local function collect()
  collectgarbage()
  collectgarbage()
  return faults.live()
end

local function remove_fresh(case)
  for _, path in ipairs(case.fresh or {}) do os.remove(path) end
end

local function set_outputs(case, contents)
  remove_fresh(case)
  for i, path in ipairs(case.out or {}) do write(path, contents[i] or OLD) end
end

local function outputs(case)
  local list = {}
  for i, path in ipairs(case.out or {}) do list[i] = read(path) or "" end
  return list
end

local function check_files(case, n, before, now)
  for i, path in ipairs(case.out or {}) do
    if now[i] ~= OLD and now[i] ~= case.made[i] then
      complain(case, n, ("%s has %d bytes, neither old nor new"):format(path, #now[i]))
    end
  end
  remove_fresh(case)
  local after = names()
  if after ~= before then complain(case, n, "files: " .. after) end
end

local function check_fault(case, n)
  set_outputs(case, {})
  local before, open = names(), descriptors()
  local status, text, failed = run(case, n)
  if not failed then return false end
  tried = tried + 1
  if status ~= (EXPECTED[kind] or 3) and not (MAY_PASS[kind] and status == case.status) then
    complain(case, n, ("status %s: %s"):format(status, text))
  end
  check_files(case, n, before, outputs(case))
  local live = collect()
  if live ~= case.live then complain(case, n, ("%d objects are left over: %s"):format(live - case.live, text)) end
  if descriptors() ~= open then complain(case, n, "a file is left open: " .. text) end
  remove_fresh(case)
  status, text = run(case, 0)
  if status ~= case.status then complain(case, n, ("then it gives status %s: %s"):format(status, text)) end
  local now = outputs(case)
  for i, path in ipairs(case.out or {}) do
    if now[i] ~= case.made[i] then complain(case, n, "then it writes another " .. path) end
  end
  return true
end

-- Runs it as it should be, twice: what is made once and kept is no leak.
local function learn(case)
  for _ = 1, 2 do
    remove_fresh(case)
    local status, text = run(case, 0)
    if status ~= (case.status or 0) then error(("%s: status %s: %s"):format(case[1], status, text)) end
    case.status, case.made, case.live = status, outputs(case), collect()
  end
end

-- From one fault to the next; `how` is "41" or "200x".
local function stride_of(case, how)
  local count = how:match "^(%d+)x$"
  if not count then return math.tointeger(tonumber(how)) end
  remove_fresh(case)
  local _, _, _, calls = run(case, 0)
  return math.max(1, calls // math.tointeger(tonumber(count)))
end

local function sweep(list, how)
  local started = core.clock()
  wrong, tried = 0, 0
  for _, case in ipairs(list) do
    local stride = stride_of(case, how)
    local n = 1 + (#case[1] * 7) % stride -- not the first call of every case
    while wrong < MOST_WRONG and check_fault(case, n) do n = n + stride end
    set_outputs(case, case.made)
  end
  output:write(("%s:%s: %d faults, %d wrong, %.1f s\n"):format(kind, errno, tried, wrong, core.clock() - started))
  return wrong == 0
end

local list, good = cases[model](root), true
kind, errno = "memory", "EIO"
for _, case in ipairs(list) do learn(case) end
for i = 4, #arg do
  local how
  kind, errno, how = arg[i]:match "^(%a+):?(%u*)/(%w+)$"
  errno = errno ~= "" and errno or "EIO"
  good = sweep(list, how) and good
end
os.exit(good, true)
