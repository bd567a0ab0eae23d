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
    for _, op in ipairs(core.ops()) do
      local name = op.domain ~= "" and op.domain .. "." .. op.name or op.name
      assert.matches("| " .. name .. " |", text, 1, true)
    end
  end)

  it("has the generated table of ONNX's own tests (build/bin/espquant scripts/readme.lua)", function()
    assert.equal(text, readme.replace(text, "onnx", readme.onnx()))
  end)

  it("names every command", function()
    for name in io.popen("ls lua/espquant/commands"):lines() do
      assert.matches("espquant " .. name:gsub("%.lua$", ""), text, 1, true)
    end
  end)

  it("documents the exit codes that errors have", function()
    local function sorted(set)
      local list = {}
      for exit in pairs(set) do list[#list + 1] = exit end
      table.sort(list)
      return list
    end
    local code, documented, told = {}, {}, {}
    for _, exit in pairs(require("espquant.errors").EXIT) do code[exit] = true end
    local rows = text:match "| exit code | meaning |\n(.-)\n\n"
    for exit in rows:gmatch "| (%d+) |" do documented[tonumber(exit)] = true end
    local pipe = io.popen(build .. "/bin/espquant help")
    for exit in pipe:read("a"):match "exit codes:(.*)":gmatch "%f[%d](%d+) %l" do told[tonumber(exit)] = true end
    pipe:close()
    assert.same(sorted(code), sorted(documented))
    assert.same(sorted(code), sorted(told))
  end)

  it("has an example that runs", function()
    local code = text:match "```lua\n(.-)```"
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local script = folder .. "/digits.lua"
    local file = assert(io.open(script, "w"))
    -- its outputs go to the folder
    code = code:gsub('"mnist', '"' .. folder .. "/mnist")
    code = code:gsub('"%.", "' .. folder .. "/mnist_coefficient", '"' .. folder .. '", "mnist_coefficient')
    file:write(code)
    file:close()
    local pipe = io.popen(("'%s/bin/espquant' %s 2>&1"):format(build, script))
    local output = pipe:read "a"
    local ok = pipe:close()
    os.execute("rm -r " .. folder)
    assert(ok, output)
    assert.matches("output\tint64 8", output, 1, true)
  end)
end)
