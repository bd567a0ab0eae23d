-- "chip" mode's groups of one scale, however they are tied together: each has the coarsest exponent that one of its
-- tensors was given, long chains too, and no operator's tensors differ.
local v1 = require "espquant.quant.v1"
local net = require "spec.support.net"

local CHIP = { bits = 8, granularity = "per-tensor", method = "minmax", mode = "chip" }

local function build(text, measured)
  return assert(v1.build(net.model(text), CHIP, function() return measured end))
end

local function expect(t, names, e)
  for name in names:gmatch "%S+" do assert.equal(e, t:exponent(name), name) end
end

describe("tensors of one scale", function()
  it("are tied in a circle through a residual", function()
    local text = [[
      input x N,4
      const w 4,4
      const v 4,4
      Gemm x w -> a
      Gemm x v -> b
      Concat a b -> k axis=1
      Concat b a -> l axis=1
      Add k l -> s
      Concat s k -> m axis=1
      Relu m -> r
      Identity a -> i
      Concat i r -> y axis=1
      output y l
    ]]
    for coarse, names in pairs { a = "a b k l s m r i y", b = "a b k l s m r i y", s = "a b k l s m r i y" } do
      local measured = { a = -6, b = -6, s = -6, r = -6 }
      measured[coarse] = -2
      -- a sum is measured; as the Concat's input it takes part
      expect(build(text, measured), names, -2)
    end
  end)

  it("are tied by chains of any length, and the end counts as much as the beginning", function()
    local lines = { "input x N,4", "const w 4,4", "Gemm x w -> a", "Mul a a -> m", "Identity a -> i0" }
    for i = 1, 3000 do lines[#lines + 1] = ("Identity i%d -> i%d"):format(i - 1, i) end
    lines[#lines + 1] = "Concat i3000 m -> y axis=1\n output y"
    local text, started = table.concat(lines, "\n"), os.clock()
    expect(build(text, { a = -6, m = -1 }), "a i0 i1500 i3000 m y", -1)
    expect(build(text, { a = 2, m = -6 }), "a i0 i1500 i3000 m y", 2)
    assert.is_true(os.clock() - started < 5)
  end)

  it("are not tied through what aligns its operands or has an exponent of its own", function()
    local t = build([[
      input x N,2,4,4
      const w 2,2,1,1
      const v 2,2,1,1
      Conv x w -> a
      Conv x v -> b
      Max a b -> m
      Add a b -> s
      AveragePool a -> p kernel_shape=2,2
      Concat s a -> k axis=1
      output m p k
    ]], { a = -5, b = -3, s = -4, p = -6 })
    expect(t, "a s k", -4)
    expect(t, "b", -3)
    expect(t, "p", -6)
  end)
end)

describe("chains of activations", function()
  it("are done in a moment, and take what the last one says", function()
    local core = require "espquant.core"
    local g = core.graph { name = "chain", opset = 13 }
    local value = g:add_input("x", "float32", { "N", 4 })
    for i = 1, 6000 do
      value = g:add_node { op_type = "Relu", name = "r" .. i, inputs = { value }, outputs = { "v" .. i } }:output(1)
    end
    g:add_output(value)
    local start = os.clock()
    local t = assert(v1.build(g, CHIP, function() return { v6000 = -3 } end))
    for _, name in ipairs { "x", "v1", "v3000", "v6000" } do assert.equal(-3, t:exponent(name), name) end
    assert.is_true(os.clock() - start < 20) -- 90 s where each walked the whole chain
  end)
end)
