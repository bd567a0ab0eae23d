--- Runs every case of cases.lua again and again, each time with another call of the system failing, in this process:
---
---     lua5.4 sweep.lua ROOT FAULTY_MODULE MODEL KIND[:ERRNO]/STRIDE ...
---
--- in an empty folder. KIND/41 lets every 41st call fail, KIND/200x 200 of them in each case, spread over all. What
--- must hold for each fault: the command ends with the exit code of that kind of error; every output is the old file or
--- the new one and nothing else has appeared; nothing of C is left over; the same command then does what it did before.
--- Prints what was wrong, a line each, and for each KIND "KIND: N faults, M wrong".

local root, module_path, model = table.unpack(arg, 1, 3)
local runner = require("spec.faults.runner").open(module_path)
local cases = require "spec.faults.cases"
local core = require "espquant.core"

local EXPECTED = { memory = 5, lua = 5, thread = 5 } -- 3, "io", for all others
-- Fewer threads do, not every file system knows links, and what a file is may be seen at a second look.
local MAY_PASS = { thread = true, link = true, open = true, read = true }
local MOST_WRONG = 200 -- lines

local kind, errno -- that of now
local wrong, tried = 0, 0

local function complain(case, n, text)
  wrong = wrong + 1
  io.write(("%s, %s:%s %d: %s\n"):format(case[1], kind, errno, n, text))
end

local function check_status(case, n, status, text)
  if status == (EXPECTED[kind] or 3) or MAY_PASS[kind] and status == case.status then return end
  complain(case, n, ("status %s: %s"):format(status, text))
end

local function check_rest(case, n, before, open)
  for _, text in ipairs(runner.wrong_outputs(case)) do complain(case, n, text) end
  runner.remove_fresh(case)
  local after, live = runner.names(), runner.live()
  if after ~= before then complain(case, n, "files: " .. after) end
  if live ~= case.live then complain(case, n, ("%d objects are left over"):format(live - case.live)) end
  if runner.descriptors() ~= open then complain(case, n, "a file is left open") end
end

-- Lets the nth call fail; false when there are fewer.
local function check_fault(case, n)
  runner.set_outputs(case, {})
  local before, open = runner.names(), runner.descriptors()
  local status, text, failed = runner.run(case, kind, n, errno)
  if not failed then return false end
  tried = tried + 1
  check_status(case, n, status, text)
  check_rest(case, n, before, open)
  status, text = runner.run(case, kind, 0)
  if status ~= case.status then complain(case, n, ("then it gives status %s: %s"):format(status, text)) end
  if not runner.is_made(case) then complain(case, n, "then it writes other files") end
  return true
end

-- From one fault to the next; `how` is "41" or "200x".
local function stride_of(case, how)
  local count = how:match "^(%d+)x$"
  if not count then return math.tointeger(tonumber(how)) end
  runner.remove_fresh(case)
  local _, _, _, calls = runner.run(case, kind, 0)
  return math.max(1, calls // math.tointeger(tonumber(count)))
end

local function sweep(list, how)
  local started = core.clock()
  wrong, tried = 0, 0
  for _, case in ipairs(list) do
    local stride = stride_of(case, how) * (case.slow or 1)
    local n = 1 + (#case[1] * 7) % stride -- not the first call of every case
    while wrong < MOST_WRONG and check_fault(case, n) do n = n + stride end
    runner.set_outputs(case, case.made)
  end
  io.write(("%s:%s: %d faults, %d wrong, %.1f s\n"):format(kind, errno, tried, wrong, core.clock() - started))
  return wrong == 0
end

local list, good = cases[model](root), true
runner.learn(list)
for i = 4, #arg do
  local how
  kind, errno, how = arg[i]:match "^(%a+):?(%u*)/(%w+)$"
  errno = errno ~= "" and errno or "EIO"
  good = sweep(list, how) and good
end
os.exit(good, true)
