-- What the README says about the code is what the code says.
local core = require "espquant.core"
local readme = dofile "scripts/readme.lua"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

describe("the README #unit", function()
  local text = read "README.md"
  local build = os.getenv "ESPQ_BUILD" or "build"

  it("has the generated table of operators (build/bin/espquant scripts/readme.lua)", function()
    local operators = readme.operators(build .. "/bin/espquant")
    assert.matches("| Conv |", operators, 1, true)
    assert.equal(text, readme.replace(text, "operators", operators))
    for _, op in ipairs(core.ops()) do assert.matches("| " .. op.name .. " |", text, 1, true) end
  end)

  it("names every command", function()
    for name in io.popen("ls lua/espquant/commands"):lines() do
      assert.matches("espquant " .. name:gsub("%.lua$", ""), text, 1, true)
    end
  end)

  it("documents the exit codes that errors have", function()
    local seen = {}
    for _, exit in pairs(require("espquant.errors").EXIT) do seen[exit] = true end
    for exit in pairs(seen) do
      if exit < 128 then assert.matches(("\n| %d |"):format(exit), text, 1, true) end
    end
  end)

  it("has an example that runs", function()
    local code = text:match "```lua\n(.-)```"
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local script = folder .. "/digits.lua"
    local file = assert(io.open(script, "w"))
    -- its outputs go to the folder
    file:write((code:gsub('"mnist', '"' .. folder .. "/mnist"):gsub('"%.", "' .. folder .. "/mnist_coefficient", '"' .. folder .. '", "mnist_coefficient')))
    file:close()
    local pipe = io.popen(("'%s/bin/espquant' %s 2>&1"):format(build, script))
    local output = pipe:read "a"
    local ok = pipe:close()
    os.execute("rm -r " .. folder)
    assert(ok, output)
    assert.matches("output\tint64 8", output, 1, true)
  end)
end)
