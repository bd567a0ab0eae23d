--- Kills commands that write, in an empty folder:
---
---     lua5.4 kill.lua ROOT FAULTY_MODULE MODEL calls [CASE ...]      before every call that opens, writes or renames
---     lua5.4 kill.lua ROOT FAULTY_MODULE MODEL random COUNT SEED     each case COUNT times after a random time
---
--- What must hold: every output is the old file or the new one, and after the next run of the same command all are new
--- and nothing else is there. Prints what was wrong, a line each, and "N killed, M wrong".

local root, module_path, model, mode = table.unpack(arg, 1, 4)
local runner = require("spec.faults.runner").open(module_path)

if mode == "--child" then
  local kind, n = arg[5], math.tointeger(tonumber(arg[6]))
  runner.faults.arm(kind, n, "EIO", true)
  os.exit(require "espquant.cli".run_command(require("espquant.commands." .. arg[7]), { table.unpack(arg, 8) }), true)
end

local cases = require "spec.faults.cases"

local KINDS = { "open", "write", "fsync", "link", "rename" }
local KILLED = 9
local wrong, killed = 0, 0

local function complain(case, what, text)
  wrong = wrong + 1
  io.write(("%s, %s: %s\n"):format(case[1], what, text))
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- Whether the command was killed by our signal.
local function is_killed(...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = quote(word) end
  local _, how, status = os.execute("exec " .. table.concat(words, " ") .. " >/dev/null 2>&1")
  return how == "signal" and status == KILLED or status == 128 + KILLED
end

local function check(case, what, before)
  killed = killed + 1
  for _, text in ipairs(runner.wrong_outputs(case)) do complain(case, what, text) end
  local status, text = runner.run(case, "memory", 0) -- goes on from what was kept of the search, if anything was
  if status ~= case.status then complain(case, what, ("then status %s: %s"):format(status, text)) end
  if not runner.is_made(case) then complain(case, what, "then it writes other files") end
  runner.remove_fresh(case)
  local after = runner.names()
  if after ~= before then complain(case, what, "files: " .. after) end
end

-- Kills it before the nth call of this kind, for all n.
local function kill_at(case, kind)
  for n = 1, math.huge do
    runner.set_outputs(case, {})
    local before = runner.names()
    if not is_killed("lua5.4", arg[0], root, module_path, model, "--child", kind, tostring(n),
      table.unpack(case[2])) then return end
    check(case, ("%s %d"):format(kind, n), before)
  end
end

-- Kills it at a random time of those that it takes.
local function kill_randomly(case, count)
  local core = require "espquant.core"
  local started = core.clock()
  local launcher = package.cpath:match "([^;]*)/spec/faults/" .. "/bin/espquant"
  is_killed(launcher, table.unpack(case[2]))
  local seconds = core.clock() - started
  for _ = 1, count do
    runner.set_outputs(case, {})
    -- --foreground: timeout ends when the command has ended, not when the signal is sent.
    local before, delay = runner.names(), ("%.4f"):format(math.random() * seconds)
    if is_killed("timeout", "--foreground", "-s", "KILL", delay, launcher, table.unpack(case[2])) then
      check(case, delay .. " s", before)
    end
  end
end

local wanted = {}
for i = 5, #arg do wanted[arg[i]] = mode == "calls" end
local list = cases[model](root)
runner.learn(list)
if mode == "random" then math.randomseed(math.tointeger(tonumber(arg[6]))) end
for _, case in ipairs(list) do
  if case.out and (mode == "random" or not next(wanted) or wanted[case[1]]) then
    if mode == "random" then kill_randomly(case, math.tointeger(tonumber(arg[5]))) end
    for _, kind in ipairs(mode == "calls" and KINDS or {}) do kill_at(case, kind) end
    runner.set_outputs(case, case.made)
  end
end
io.write(("%d killed, %d wrong\n"):format(killed, wrong))
os.exit(wrong == 0, true)
