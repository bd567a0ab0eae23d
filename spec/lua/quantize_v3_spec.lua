-- t:quantize by the roundings and widths of ESP-DL v3, against a transcription in Lua.
local core = require "espquant.core"

local DTYPES = { [8] = "int8", [16] = "int16", [20] = "int32", [32] = "int32", [40] = "int64", [64] = "int64" }

local function naive(x, e, bits, rounding)
  local scaled = x * 2.0 ^ -e
  local below = math.floor(scaled)
  local rest = scaled - below
  local up = rest > 0.5 or rest == 0.5 and (rounding == "half-up" or below % 2 == 1)
  local lo, hi = -(2.0 ^ (bits - 1)), 2.0 ^ (bits - 1)
  if scaled <= lo then return bits == 64 and math.mininteger or -(1 << bits - 1) end
  if scaled >= hi - 1 then return bits == 64 and math.maxinteger or (1 << bits - 1) - 1 end
  return math.tointeger(below) + (up and 1 or 0)
end

local NUMBERS = { 0, 0.5, -0.5, 1.5, -1.5, 2.5, 0.25, 127.5, -128.5, 1e5, -1e5, 3e9, 8388609, -8388607, 1e13, -1e13,
  1e30, -1e30, 1 / 0, -1 / 0 }

describe("t:quantize", function()
  it("rounds and saturates by the exponent, the width and the rounding", function()
    local t, compared = core.tensor_from(NUMBERS, "float32"), 0
    local floats = t:totable()
    for bits, dtype in pairs(DTYPES) do
      for _, rounding in ipairs { "half-even", "half-up" } do
        for _, e in ipairs { 0, -1, 1, -7, -26 } do
          local q = t:quantize(e, bits, nil, rounding)
          assert.equal(dtype, q.dtype)
          for i, x in ipairs(q:totable()) do
            local label = ("%g 2^%d int%d %s"):format(floats[i], e, bits, rounding)
            assert.equal(naive(floats[i], e, bits, rounding), x, label)
            compared = compared + 1
          end
        end
      end
    end
    assert.is_true(compared == 6 * 2 * 5 * #NUMBERS)
  end)

  it("takes exponents along an axis, and refuses other widths and roundings", function()
    local t = core.tensor_from({ { 1.5, 2.5 }, { 1.5, 2.5 } }, "float32")
    assert.same({ { 3, 3 }, { 3, 3 } }, t:quantize({ -1, 0 }, 32, 1, "half-up"):totable())
    assert.same({ { 3, 5 }, { 2, 2 } }, t:quantize({ -1, 0 }, 20, 0):totable())
    assert.has_error(function() t:quantize(0, 24) end)
    assert.has_error(function() t:quantize(0, 8, nil, "up") end)
    assert.equal(0, core.tensor_from({ 0 / 0 }, "float32"):quantize(0, 8, nil, "half-up"):totable()[1])
  end)
end)
