--- examples/espdl.lua as a user runs it: accuracies side by side, two files whose own tests pass.
local process = require "spec.support.process"

describe("examples/espdl.lua #unit", function()
  it("takes the digits to files for two chips", function()
    local folder = process.folder()
    local r = process.run { process.espquant, "examples/espdl.lua", folder }
    assert.same({ 0, "" }, { r.status, r.stderr })
    local right = {}
    for name, percent in r.stdout:gmatch "\n(%w[%w ]-) +([%d.]+) %%" do right[name] = tonumber(percent) end
    for _, name in ipairs { "v1 int8 esp32s3", "v3 int8 esp32s3", "v3 int8 esp32p4", "v3 int16 esp32s3",
      "v3 int16 esp32p4" } do
      assert.is_true(math.abs(right[name] - right.float) <= 0.5, r.stdout)
    end
    for _, file in ipairs { "mnist_s3.espdl", "mnist_p4.espdl" } do
      local test = process.run { process.espquant, "run", folder .. "/" .. file }
      assert.equal(0, test.status, test.stderr)
      assert.matches("all 10 elements equal", test.stdout)
    end
    process.remove(folder)
  end)
end)
