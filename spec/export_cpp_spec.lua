-- Coefficient files and the printed info: byte for byte the original's on its recorded cases.
local core = require "espquant.core"
local coefficients = require "spec.support.coefficients"
local fixtures = require "spec.support.fixtures"
local process = require "spec.support.process"
local qtable = require "espquant.qtable"

local run = coefficients.new()
before_each(run.open)
after_each(run.close)

describe("coefficient files of the original", function()
  local compared = { cases = 0, files = 0, bytes = 0 }

  local function recorded(case)
    local list = {}
    for path in pairs(case.files) do
      local config, chip = path:match "^([^/]+)/cpp_(%w+)/coefficient%.cpp$"
      if config then list[#list + 1] = { config = config, chip = chip, at = config .. "/cpp_" .. chip .. "/" } end
    end
    return list
  end

  local function compare(label, expected, got)
    assert.is_true(expected == got, label .. " differs")
    compared.files, compared.bytes = compared.files + 1, compared.bytes + #expected
  end

  local function check(case, record, mode)
    local label = ("%s %s %s %s"):format(case.name, record.config, record.chip, mode)
    local bits, granularity = record.config:match "^int(%d+)%-(per%-%w+)"
    local table_path = process.write_file(run.folder .. "/table.pickle", case.bytes(record.config .. "/table.pickle"))
    local r = run.export(assert(core.onnx_decode(case.bytes "model.onnx")), assert(qtable.load(table_path)), {
      bits = tonumber(bits), granularity = granularity, target = record.chip, mode = mode, print_model_info = true,
    })
    assert.is_true(r.ok, label .. ": " .. tostring(r.message))
    compare(label .. " cpp", case.bytes(record.at .. "coefficient.cpp"), r.cpp)
    compare(label .. " hpp", case.bytes(record.at .. "coefficient.hpp"), r.hpp)
    local lines = {}
    for _, line in ipairs(r.log) do
      if not line:match "^warning: " then lines[#lines + 1] = line:gsub(run.folder, "cpp_" .. record.chip) .. "\n" end
    end
    compare(label .. " stdout", case.bytes(record.at .. "stdout.txt"), table.concat(lines))
    compared.cases = compared.cases + 1
  end

  for _, name in ipairs(fixtures.CASES) do
    it("are written the same in both modes: " .. name, function()
      local case = fixtures.open(name)
      for _, record in ipairs(recorded(case)) do
        check(case, record, "original")
        check(case, record, "chip")
      end
    end)
  end

  it("have all been compared", function()
    assert.equal(2 * 72, compared.cases)
    print(("coefficients: %d exports, %d files and logs, %.1f MB identical"):format(compared.cases, compared.files,
      compared.bytes / 1e6))
  end)
end)
