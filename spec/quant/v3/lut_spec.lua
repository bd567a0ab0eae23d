-- Tables of activations: every function against its float kernel, rounding of both kinds, saturation, sizes.
local core = require "espquant.core"
local lut = require "espquant.quant.v3.lut"

local CASES = {
  { "Relu" }, { "Sigmoid" }, { "Tanh" }, { "Exp" }, { "Neg" }, { "Softplus" }, { "Erf" }, { "HardSwish" }, { "Gelu" },
  { "Gelu", { approximate = "tanh" } }, { "LeakyRelu", { alpha = 0.1 } }, { "Elu", { alpha = 1.5 } }, { "Swish" },
  { "Swish", { alpha = 1.5 } }, { "HardSigmoid", { alpha = 0.2, beta = 0.4 } }, { "Sqrt", positive = true },
  { "Log", positive = true },
}

-- The node of the operator behind x, and what its float kernel makes of the numbers.
local function float(case, numbers)
  local g = core.graph { name = "case", opset = 24 }
  local node = g:add_node { op_type = case[1], attrs = case[2], inputs = { g:add_input("x", "float32", { #numbers }) },
    outputs = { "y" } }
  g:add_output(node:output(1))
  assert(g:infer_shapes())
  return node, core.evaluate(g, core.tensor_from(numbers, "float32"))[1]:totable()
end

describe("tables of ESP-DL v3", function()
  for _, case in ipairs(CASES) do
    it(("hold %s%s as the float kernel computes it"):format(case[1], next(case[2] or {}) or ""), function()
      for _, o in ipairs { { 8, -5, -5, 128, 1 }, { 16, -13, -12, 32768, 32 } } do
        local bits, e_in, e_out, most, step = table.unpack(o)
        local numbers = {}
        for q = -most, most - 1, step do numbers[#numbers + 1] = q * 2.0 ^ e_in end
        local node, want = float(case, numbers)
        local got = lut.table(lut.functions[case[1]](node, {}), e_in, e_out, bits, "half-even", step):totable()
        assert.equal(bits == 8 and 256 or 2049, #got)
        for i, x in ipairs(numbers) do
          local exact = math.max(-most, math.min(want[i] * 2.0 ^ -e_out, most - 1))
          if not case.positive or x > 0 then
            assert.is_true(math.abs(got[i] - exact) <= 0.51, ("%s(%g): %d, %g"):format(case[1], x, got[i], exact))
          end
        end
      end
    end)
  end

  it("round halves as the chip does", function()
    local function half(x) return x / 2 end
    local up = lut.table(half, 0, 0, 8, "half-up", 1):totable()
    local even = lut.table(half, 0, 0, 8, "half-even", 1):totable()
    local function at(list, q) return list[q + 129] end
    assert.same({ 2, -1, 1, 0 }, { at(up, 3), at(up, -3), at(up, 1), at(up, -1) })
    assert.same({ 2, -2, 0, 0 }, { at(even, 3), at(even, -3), at(even, 1), at(even, -1) })
  end)

  it("saturate, also at infinity, and take NaN for 0", function()
    local function f(x) return x < 0 and -math.huge or x > 0 and math.huge or 0 / 0 end
    local list = lut.table(f, 0, 0, 8, "half-up", 1):totable()
    assert.same({ -128, -128, 0, 127, 127 }, { list[1], list[128], list[129], list[130], list[256] })
  end)
end)
