--- Installs the rock into a tree of its own and uses it from another folder, with nothing of the checkout in sight.

local process = require "spec.support.process"

local has_luarocks = process.run({ "sh", "-c", "command -v luarocks" }).status == 0

describe("the rock #unit", function()
  if not has_luarocks then
    pending "needs luarocks (apt-get install luarocks): NOT TESTED"
    return
  end

  local folder, tree, installed

  setup(function()
    folder = process.folder()
    tree = folder .. "/tree"
    installed = process.run({ process.root .. "/scripts/rock", "--tree", tree }, { cwd = folder })
    assert.equal(0, installed.status, installed.stderr)
  end)
  teardown(function() process.remove(folder) end)

  -- The checkout's own paths must not help.
  local function run(argv, env)
    env = env or {}
    env.LUA_PATH, env.LUA_CPATH = env.LUA_PATH or ";;", env.LUA_CPATH or ";;"
    return process.run(argv, { cwd = "/", env = env })
  end

  it("brings a launcher that runs from another folder", function()
    assert.same({ status = 0, stdout = process.run({ process.espquant, "-v" }).stdout, stderr = "" },
      run { tree .. "/bin/espquant", "-v" })
    local r = run { tree .. "/bin/espquant", "-e", "print(require 'espquant' == espquant)" }
    assert.same({ status = 0, stdout = "true\n", stderr = "" }, r)
  end)

  it("brings the commands with their option parser", function()
    local r = run { tree .. "/bin/espquant", "help" }
    assert.equal(0, r.status)
    assert.equal(process.run({ process.espquant, "help" }).stdout, r.stdout)
  end)

  it("is found by require in a plain lua", function()
    local env = {
      LUA_PATH = tree .. "/share/lua/5.4/?.lua;" .. tree .. "/share/lua/5.4/?/init.lua;;",
      LUA_CPATH = tree .. "/lib/lua/5.4/?.so;;",
    }
    local r = run({ "lua5.4", "-e", 'print(package.searchpath("espquant", package.path), type(require "espquant"))' },
      env)
    assert.same({ status = 0, stdout = tree .. "/share/lua/5.4/espquant/init.lua\ttable\n", stderr = "" }, r)
  end)

  it("installs nothing but the library, the launcher and LuaRocks' own records", function()
    local r = process.run({ "sh", "-c", "cd '" .. tree .. "' && find . -type f | grep -v lib/luarocks | sort" })
    for path in r.stdout:gmatch "[^\n]+" do
      assert.is_truthy(path == "./bin/espquant" or path == "./lib/lua/5.4/espquant/core.so" or
        path:match "^%./share/lua/5%.4/espquant/.*%.lua$", path)
    end
    assert.matches("core%.so", r.stdout)
  end)

  it("needs a tree", function()
    local r = process.run { process.root .. "/scripts/rock" }
    assert.equal(2, r.status)
    assert.matches("usage: scripts/rock %-%-tree TREE", r.stderr)
  end)
end)
