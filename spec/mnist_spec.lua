--- The example, as a user runs it: from another folder, with the launcher.
local process = require "spec.support.process"

local CONFIGURATIONS = {
  "int8 per-tensor minmax", "int8 per-tensor entropy", "int8 per-channel minmax", "int8 per-channel entropy",
  "int16 per-tensor minmax",
}
local MODES = { "chip", "original" }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- Name -> { accuracy, agreement, images per second } of the table's lines.
local function results(text)
  local found = {}
  for line in text:gmatch "[^\n]+" do
    local name, accuracy, agreement, speed = line:match "^(%w.-)%s+([%d.]+) %%%s+([%d.]+) %%%s+(%d+)$"
    if name then found[name] = { tonumber(accuracy), tonumber(agreement), tonumber(speed) } end
  end
  return found
end

describe("examples/mnist.lua #unit", function()
  local folder, r, rows
  setup(function()
    folder = process.folder()
    r = process.run({ process.espquant, process.root .. "/examples/mnist.lua", folder .. "/out" }, { cwd = folder })
    rows = results(r.stdout)
  end)
  teardown(function() process.remove(folder) end)

  it("runs from any folder and leaves the checkout as it was", function()
    assert.same({ 0, "" }, { r.status, r.stderr })
    assert.is_nil(io.open(process.root .. "/examples/mnist_optimized.onnx"))
    assert.is_truthy(io.open(folder .. "/out/mnist_optimized.onnx"))
  end)

  it("has under 40 lines", function()
    local _, lines = read(process.root .. "/examples/mnist.lua"):gsub("\n", "")
    assert.is_true(lines < 40, lines .. " lines")
  end)

  it("is right about at least 97 % of the digits in float", function()
    assert.is_true(rows.float[1] >= 97, "float: " .. rows.float[1])
    assert.equal(100, rows.float[2])
  end)

  it("stays within 1 point of float in int8 per-channel, and within 0.2 in int16", function()
    local float = rows.float[1]
    for _, method in ipairs { "minmax", "entropy" } do
      local int8 = rows["int8 per-channel " .. method .. " chip"][1]
      assert.is_true(math.abs(int8 - float) <= 1, ("%s: %g, float: %g"):format(method, int8, float))
    end
    assert.is_true(math.abs(rows["int16 per-tensor minmax chip"][1] - float) <= 0.2 + 1e-9)
  end)

  it("evaluates all five configurations in both modes, with their speed", function()
    for _, configuration in ipairs(CONFIGURATIONS) do
      for _, mode in ipairs(MODES) do
        local name = configuration .. " " .. mode
        assert.is_truthy(rows[name], name)
        assert.is_true(rows[name][2] > 95 and rows[name][2] <= 100, name)
        assert.is_true(rows[name][3] > 0, name)
      end
    end
  end)

  it("writes a table and C++ coefficients for each of them", function()
    for _, name in ipairs(CONFIGURATIONS) do
      assert.equal("\x80\3", read(("%s/out/%s.pickle"):format(folder, name:gsub(" ", "_"))):sub(1, 2))
      local namespace = "mnist_" .. name:gsub("[ -]", "_")
      local cpp = read(("%s/out/%s.cpp"):format(folder, namespace))
      assert.truthy(cpp:find("namespace " .. namespace, 1, true))
      assert.truthy(cpp:find("const static Filter<int" .. name:match "%d+" .. "_t> conv1_filter(", 1, true))
      assert.truthy(read(("%s/out/%s.hpp"):format(folder, namespace)):find("get_fc_bias", 1, true))
    end
  end)

  it("prints what is in each table", function()
    local _, summaries = r.stdout:gsub("\ninput +1 +2%^%-%d+\nactivation +16 ", "")
    assert.equal(5, summaries)
  end)
end)
