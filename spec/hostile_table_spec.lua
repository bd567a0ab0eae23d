-- Damaged tables on the command line: a message and the right exit code, and nothing written.
local fixtures = require "spec.support.fixtures"
local process = require "spec.support.process"
local qtable = require "espquant.qtable"

local COUNT = os.getenv "ESPQ_LANE" == "asan" and 150 or 400

describe("a damaged table", function()
  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  local function run(name, output)
    local env = { LUA_PATH = process.root .. "/?.lua;;" }
    local r = process.run({ process.espquant, process.root .. "/spec/hostile/tables.lua", folder .. "/" .. name,
      folder .. "/" .. output, COUNT }, { cwd = folder, env = env })
    assert.equal(0, r.status, r.stdout .. r.stderr)
    local codes, sum = {}, 0
    for code, n in r.stdout:gmatch "(%d+)\t(%d+)" do codes[tonumber(code)], sum = tonumber(n), sum + n end
    assert.equal(COUNT, sum)
    return codes
  end

  it("is refused by its opcode, or read: .pickle", function()
    process.write_file(folder .. "/t.pickle", fixtures.open "tiny_121".bytes "int8-per-channel-minmax/table.pickle")
    local codes = run("t.pickle", "out.json")
    assert.is_true(codes[3] > COUNT / 3 and codes[4] > 0, codes[3])
  end)

  it("is refused by its mistakes, or read: .json", function()
    process.write_file(folder .. "/p.pickle", fixtures.open "tiny_121".bytes "int8-per-channel-minmax/table.pickle")
    assert(assert(qtable.load(folder .. "/p.pickle")):save(folder .. "/t.json"))
    local codes = run("t.json", "out.pickle")
    assert.is_true(codes[3] > COUNT / 3, codes[3])
  end)
end)
