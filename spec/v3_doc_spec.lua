-- docs/v3.md against the code: files that it names exist, chips and deviations are those of the rows, cases are
-- counted.
local core = require "espquant.core"
local deviations = require "espquant.quant.v3.deviations"
local fixtures = require "spec.support.fixtures"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local ROUNDED = { ["half-up"] = "up", ["half-even"] = "to even" }

-- Group -> the cells of its row.
local function groups()
  local found, order = {}, {}
  for _, t in ipairs(core.targets()) do
    if t.runtime == "v3" then
      if not found[t.group] then found[t.group], order[#order + 1] = { target = t, chips = {} }, t.group end
      found[t.group].chips[t.chip] = true
    end
  end
  return found, order
end

describe("docs/v3.md #unit", function()
  local text = read "docs/v3.md"

  it("names files that exist", function()
    local count = 0
    for path in text:gmatch "`(quant/[%w_/.]+)`" do
      local file = io.open("lua/espquant/" .. path) or io.open("lua/espquant/" .. path .. "/opset.lua")
      assert.is_truthy(file, path)
      file:close()
      count = count + 1
    end
    assert.is_true(count > 5)
  end)

  it("has the chips of the targets", function()
    local found, order = groups()
    for _, group in ipairs(order) do
      local t = found[group].target
      local chips, rest = text:match("\n| " .. group .. " | ([^|]+) |([^\n]*)|\n")
      for chip in chips:gmatch "[%w]+" do
        assert.is_true(found[group].chips[chip], chip)
        found[group].chips[chip] = nil
      end
      assert.is_nil(next(found[group].chips), "not told: " .. tostring(next(found[group].chips)))
      assert.equal((" %s | %s | %d, %d "):format(ROUNDED[t.rounding],
        t.per_channel and "one per output channel" or "one exponent", t.bias_bits_8, t.bias_bits_16), rest)
    end
  end)

  it("tells the deviations that there are", function()
    assert.matches("PRelu with a slope per channel | group c; int16 on p4", text)
    local rows = {}
    for _, row in ipairs(deviations.rows()) do rows[#rows + 1] = ("%s %s %d"):format(row.op, row.group, row.bits) end
    assert.same({ "PRelu c 8", "PRelu c 16", "PRelu p4 16" }, rows)
  end)

  it("counts the recorded configurations", function()
    local configurations = 0
    for _, name in ipairs(fixtures.CASES_V3) do
      configurations = configurations + #fixtures.open(name, "v3").names "/table%.json$"
    end
    assert.same({ 12, 52 }, { #fixtures.CASES_V3, configurations })
    assert.matches("of twelve models", text)
    assert.matches("52\nconfigurations", text)
  end)
end)
