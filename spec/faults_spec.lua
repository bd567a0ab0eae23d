--- Every call of the system can fail: an error each time, nothing lost, nothing left over, and then all is well again.
--- spec/faults/sweep.lua says what is held to this; scripts/soak does it for every single call.

local process = require "spec.support.process"

local IN_ASAN = os.getenv "ESPQ_LANE" == "asan"

-- Kind, how many of its calls fail in each case (1: every one), and how many that makes at least.
local KINDS = {
  { "memory:EIO", "12x", 200 }, { "lua:EIO", "4x", 70 }, { "thread:EIO", "3x", 20 }, { "open:EMFILE", "3x", 40 },
  { "read:EIO", "2x", 20 }, { "write:ENOSPC", 1, 20 }, { "write:EPIPE", 1, 20 }, { "fsync:EIO", 1, 40 },
  { "rename:EIO", 1, 20 }, { "link:EPERM", 1, 10 }, { "fchmod:EIO", 1, 20 },
}

local function sweep()
  local argv = { "lua5.4", process.root .. "/spec/faults/sweep.lua", process.root,
    process.build .. "/spec/faults/espquant/core.so", "small" }
  for _, case in ipairs(KINDS) do argv[#argv + 1] = ("%s/%s"):format(case[1], IN_ASAN and "1x" or case[2]) end
  local folder = process.folder()
  local r = process.run(argv, { cwd = folder, env = {
    LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;;"):format(process.root, process.root, process.root),
    LUA_CPATH = process.build .. "/spec/faults/?.so;;",
  } })
  process.remove(folder)
  return r
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
