--- What the programs of this folder share: running a case of cases.lua in this process with a fault, and the files it
--- leaves.
---
---     local runner = require("spec.faults.runner").open(module_path)
---     local status, text, failed, calls = runner.run(case, "write", 3, "ENOSPC")

local cli = require "espquant.cli"
local lfs = require "lfs"

local M = {}

--- What an output holds before it is written.
M.OLD = "what was there before"

local output, errput = io.stdout, io.stderr

--- Loads the module of faults (spec/c/faults.c) from the faulty copy of the core.
function M.open(module_path)
  M.faults = assert(package.loadlib(module_path, "luaopen_espquant_faults"))()
  return M
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

function M.names()
  local list = add_names(".", {})
  table.sort(list)
  return table.concat(list, " ")
end

function M.descriptors()
  local n = 0
  for _ in lfs.dir "/proc/self/fd" do n = n + 1 end
  return n
end

-- The module of the case's command, and its arguments. A function becomes a command.
local function command_of(case)
  local what = case[2]
  if type(what) == "function" then return { name = "case", configure = function() end, run = what }, {} end
  return require("espquant.commands." .. what[1]), { table.unpack(what, 2) }
end

--- Runs it in this process, with the nth call failing (0: none). Returns the exit code, what went to standard error,
--- whether a call has failed, and how many there were.
function M.run(case, kind, n, errno)
  local command, arguments = command_of(case)
  local out, err = new_stream(), new_stream()
  io.stdout, io.stderr = out, err
  M.faults.arm(kind, n, errno)
  local ok, status = pcall(cli.run_command, command, arguments)
  local calls, failed = M.faults.disarm()
  io.stdout, io.stderr = output, errput
  return ok and status or "raises " .. tostring(status), table.concat(err.kept), failed, calls
end

--- Objects of the core that are not released.
function M.live()
  collectgarbage()
  collectgarbage()
  return M.faults.live()
end

function M.remove_fresh(case)
  for _, path in ipairs(case.fresh or {}) do os.remove(path) end
end

function M.set_outputs(case, contents)
  M.remove_fresh(case)
  for i, path in ipairs(case.out or {}) do write(path, contents[i] or M.OLD) end
end

function M.outputs(case)
  local list = {}
  for i, path in ipairs(case.out or {}) do list[i] = read(path) or "" end
  return list
end

--- Runs each case as it should be, twice: what is made once and kept is no leak. Keeps status, outputs as `made`, and
--- the number of `live` objects in the case.
function M.learn(list)
  for _, case in ipairs(list) do
    for _ = 1, 2 do
      M.remove_fresh(case)
      local status, text = M.run(case, "memory", 0)
      if status ~= (case.status or 0) then error(("%s: status %s: %s"):format(case[1], status, text)) end
      case.status, case.made, case.live = status, M.outputs(case), M.live()
    end
  end
end

--- A text for each output that is neither the old file nor the new one.
function M.wrong_outputs(case)
  local list = {}
  for i, bytes in ipairs(M.outputs(case)) do
    if bytes ~= M.OLD and bytes ~= case.made[i] then
      list[#list + 1] = ("%s has %d bytes, neither old nor new"):format(case.out[i], #bytes)
    end
  end
  return list
end

--- Whether all outputs are the new ones.
function M.is_made(case)
  for i, bytes in ipairs(M.outputs(case)) do
    if bytes ~= case.made[i] then return false end
  end
  return true
end

return M
