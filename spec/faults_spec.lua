--- Every call of the system can fail: an error each time, nothing lost, nothing left over, and then all is well again.
--- spec/faults/sweep.lua says what is held to this; scripts/soak does it for every single call.

local process = require "spec.support.process"

local IN_ASAN = os.getenv "ESPQ_LANE" == "asan"

-- Kind, how many of its calls fail in each case (1: every one), and how many that makes at least.
local KINDS = {
  { "memory:EIO", "7x", 150 }, { "lua:EIO", "2x", 40 }, { "thread:EIO", "1x", 10 }, { "open:EMFILE", "2x", 40 },
  { "read:EIO", "2x", 20 }, { "write:ENOSPC", 1, 20 }, { "write:EPIPE", 1, 20 }, { "fsync:EIO", 1, 40 },
  { "rename:EIO", 1, 20 }, { "link:EPERM", 1, 10 }, { "fchmod:EIO", 1, 20 },
}

-- Runs a program of spec/faults on the small model.
local function run(program, ...)
  local argv = { "lua5.4", ("%s/spec/faults/%s.lua"):format(process.root, program), process.root,
    process.build .. "/spec/faults/espquant/core.so", "small", ... }
  local folder = process.folder()
  local r = process.run(argv, { cwd = folder, env = {
    LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;;"):format(process.root, process.root, process.root),
    LUA_CPATH = process.build .. "/spec/faults/?.so;;",
  } })
  process.remove(folder)
  return r
end

local function sweep()
  local words = {}
  for i, case in ipairs(KINDS) do words[i] = ("%s/%s"):format(case[1], IN_ASAN and "1x" or case[2]) end
  return run("sweep", table.unpack(words))
end

describe("a failing call of the system", function()
  local r
  setup(function() r = sweep() end)

  for _, case in ipairs(KINDS) do
    it(("(%s) is told, and nothing is lost"):format(case[1]), function()
      local tried, wrong = r.stdout:match("\n?" .. case[1] .. ": (%d+) faults, (%d+) wrong")
      assert.equal("0", wrong, r.stdout:sub(1, 4000) .. r.stderr:sub(1, 4000))
      local least = IN_ASAN and 2 or case[3]
      assert.is_true(tonumber(tried) >= least, tried .. " faults")
    end)
  end

  it("leaves nothing behind that a sanitizer would find", function()
    assert.same({ 0, "" }, { r.status, r.stderr })
  end)
end)

describe("a command that is killed #unit", function()
  it("before any call that opens, writes or renames leaves the old file or the new one, and no stray", function()
    local r = run("kill", "calls", "optimize", "export v1", "auto")
    local killed, wrong = r.stdout:match "(%d+) killed, (%d+) wrong\n$"
    assert.same({ "0", 0 }, { wrong, r.status }, r.stdout:sub(1, 4000) .. r.stderr)
    assert.is_true(tonumber(killed) >= 30, killed)
  end)
end)

describe("a process without memory #unit", function()
  it("ends with an error wherever it runs out", function()
    local folder = process.folder()
    local script = [[ulimit -c 0; "$0" optimize mnist.onnx -o "$1/o.onnx" >/dev/null
      for kb in $(seq 56000 1500 83000); do
        (ulimit -v $kb
         exec "$0" calibrate "$1/o.onnx" -d data/mnist/calib-images-idx3-ubyte.gz --scale 1/256 -j 1 -o "$1/t.json")
        echo "status $?"
      done]]
    local r = process.run({ "sh", "-c", script, process.espquant, folder }, { cwd = process.root .. "/examples" })
    process.remove(folder)
    local counts = {}
    for status in r.stdout:gmatch "status (%d+)" do counts[status] = (counts[status] or 0) + 1 end
    local done, refused = counts["0"], counts["5"]
    assert.same({ ["0"] = done, ["5"] = refused }, counts, r.stderr)
    assert.is_true((done or 0) > 0 and (refused or 0) > 0)
  end)
end)

describe("standard output", function()
  local function shell(command)
    local r = process.run({ "sh", "-c", command, process.espquant }, { cwd = process.root .. "/examples" })
    return { r.status, (r.stderr:gsub("^espquant: cannot write to standard output: ", "")) }
  end

  it("on a full disk or a closed pipe is an error, also when only an earlier part is lost", function()
    local lost = [[require "espquant.core" for _ = 1, 64 do io.write(("x"):rep(1 << 14)) end]]
    assert.same({ 3, "an earlier part was lost\n" }, shell(([["$0" -e '%s' >/dev/full]]):format(lost)))
    assert.same({ 3, "No space left on device\n" }, shell [["$0" info mnist.onnx >/dev/full]])
    assert.same({ 1, "No space left on device\n" }, shell [["$0" check mnist.onnx >/dev/full]])
    assert.same({ 3, "Broken pipe\n" }, shell [[trap '' PIPE
      exit $({ { sleep 0.2; "$0" info mnist.onnx; echo $? >&3; } | true; } 3>&1)]])
  end)
end)
