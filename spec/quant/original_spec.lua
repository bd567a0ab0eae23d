-- The rewrite that reproduces the original evaluator: its arithmetic by hand, its extra outputs, its refusals. The
-- recorded cases are in spec/fixtures_spec.lua.

local core = require "espquant.core"
local qtable = require "espquant.qtable"
local quant = require "espquant.quant"
local net = require "spec.support.net"

local function floats(list, shape)
  return core.tensor_from(list, "float32", shape)
end

local function table_of(entries, facts)
  local t = qtable.new(facts)
  for _, e in ipairs(entries) do t:set(e[1], e[2], e[3]) end
  return t
end

-- Rewrites and runs: the outputs as flat lists, and their names.
local function run(g, t, x, options)
  local o = { bits = 8, granularity = "per-tensor" }
  for key, value in pairs(options or {}) do o[key] = value end
  local rewritten, names = quant.original(g, t, o)
  if not rewritten then return nil, names end
  assert(rewritten:verify())
  assert(rewritten:check())
  local outputs = assert(assert(core.executor(rewritten, { outputs = names })):run(x))
  for i, tensor in ipairs(outputs) do outputs[i] = tensor:reshape({ -1 }):totable() end
  return outputs, names
end

local GEMM = "input x N,1\n const w 1,2\n const b 2\n Gemm x w b -> y\n output y"

describe("the original's rewrite", function()
  it("rounds the input half to even and clips it", function()
    local g = net.model "input x N,1\n Flatten x -> y\n output y"
    local t = table_of { { "x", "input", { -7 } }, { "y", "activation", { -7 } } }
    local x = floats({ 0.5 / 128, 1.5 / 128, -0.5 / 128, -1.5 / 128, 5, -5 }, { 6, 1 })
    assert.same({ { 0, 2, 0, -2, 127, -128 } }, (run(g, t, x)))
    t = table_of { { "x", "input", { -15 } }, { "y", "activation", { -15 } } }
    assert.same({ { 128, 384, -128, -384, 32767, -32768 } }, (run(g, t, x, { bits = 16 })))
  end)

  it("rounds alike in models that are older than Round", function()
    local g = net.model "input x N,1\n Flatten x -> y\n output y"
    g.opset = 8
    local t = table_of { { "x", "input", { -15 } }, { "y", "activation", { -15 } } }
    local x = floats({ 0.5 / 32768, 1.5 / 32768, -2.5 / 32768, 0.7, -1, 200.3, -1e30, 1 / 0 }, { 8, 1 })
    assert.same({ { 0, 2, -2, 22938, -32768, 32767, -32768, 32767 } }, (run(g, t, x, { bits = 16 })))
  end)

  it("floors the sum, adds the bias after the shift, clips", function()
    local g = net.model(GEMM, { w = floats({ 1, -1 }, { 1, 2 }), b = floats { 0.5, 0.5 } })
    local t = table_of { { "x", "input", { -7 } }, { "w", "weight", { -6 } }, { "b", "bias", { -3 } },
      { "y", "activation", { -3 } } }
    -- x = 100/128: 100 * 64 * 2^-10 = 6.25 -> 6, -6.25 -> -7; the bias is 4
    assert.same({ { 10, -3 } }, (run(g, t, floats({ 100 / 128 }, { 1, 1 }))))
    t:set("y", "activation", { -9 })
    t:set("b", "bias", { -9 })
    assert.same({ { 127, -128 } }, (run(g, t, floats({ 100 / 128 }, { 1, 1 }))))
  end)

  it("shows per channel what comes before the last clip, as further outputs in graph order", function()
    local g = net.model(GEMM:gsub("output y", "const v 2,1\n Gemm y v -> z\n output z y"),
      { w = floats({ 1, -1 }, { 1, 2 }), b = floats { 0.5, 0.5 }, v = floats({ 1, 1 }, { 2, 1 }) })
    local t = table_of { { "x", "input", { -7 } }, { "w", "weight", { -6, -6 } }, { "b", "bias", { -9, -9 } },
      { "y", "activation", { -9 } }, { "v", "weight", { -6 } }, { "z", "activation", { -9 } } }
    local outputs, names = run(g, t, floats({ 100 / 128 }, { 1, 1 }), { granularity = "per-channel" })
    assert.same({ "z", "y", "y/QACC_shift1:0", "z/QACC_shift1:0" }, names)
    -- 6400 / 16 = 400, + 256 = 656, * 2^0; -400 + 256 = -144
    assert.same({ 656, -144 }, outputs[3])
    assert.same({ 127, -128 }, outputs[2])
  end)

  it("drops what a shift of more than 12 leaves, per channel", function()
    local g = net.model("input x N,1\n const w 1,2\n Gemm x w -> y\n output y", { w = floats({ -1, -1 }, { 1, 2 }) })
    local t = table_of { { "x", "input", { -7 } }, { "w", "weight", { -6, -6 } }, { "y", "activation", { 3 } } }
    local x = floats({ 1 / 128 }, { 1, 1 })
    assert.same({ -1, -1 }, run(g, t, x, { granularity = "per-channel" })[1]) -- k = -12
    t:set("y", "activation", { 4 })
    assert.same({ 0, 0 }, run(g, t, x, { granularity = "per-channel" })[1]) -- k = -13
  end)

  it("aligns the finer operand of Add with a floor, the second one where they are equal", function()
    local g = net.model [[
      input x N,1
      Flatten x -> a
      Flatten x -> b
      Add a b -> y
      output y
    ]]
    local t = table_of { { "x", "input", { 0 } }, { "a", "activation", { 0 } }, { "b", "activation", { -2 } },
      { "y", "activation", { 1 } } }
    -- 7: 7 + floor(7 / 4) = 8 -> 4; -7: -7 + floor(-1.75) = -9 -> floor(-4.5) = -5
    assert.same({ { 4, -5 } }, (run(g, t, floats({ 7, -7 }, { 2, 1 }))))
  end)

  it("truncates slopes to the width's steps", function()
    local g = net.model([[
      input x N,2
      const s 2
      PRelu x s -> p
      LeakyRelu x -> l alpha=0.1
      LeakyRelu x -> d
      output p l d
    ]], { s = floats { 0.1, 1.5 } })
    local t = table_of { { "x", "input", { 0 } }, { "p", "activation", { 0 } }, { "l", "activation", { 0 } },
      { "d", "activation", { 0 } } }
    -- 0.1 -> 12/128: -100 -> -9.375 -> -10; 1.5 stays; without alpha 0.01, as it is
    local outputs = run(g, t, floats({ -100, -100 }, { 1, 2 }))
    assert.same({ { -10, -128 }, { -10, -10 }, { -1, -1 } }, outputs)
  end)

  it("takes scales that are no power of two, and of zero and NaN without a crash", function()
    local g = net.model(GEMM, { w = floats({ 1, -1 }, { 1, 2 }), b = floats { 0.3, 0.6 } })
    local t = table_of { { "x", "input", { 0 } }, { "w", "weight", { 0 } }, { "b", "bias", { 0 } },
      { "y", "activation", { 0 } } }
    t:set("w", "weight").scales = { 0.3 } -- 1 / 0.3 -> 3
    t:set("y", "activation").scales = { 0.3 } -- biases 1 and 2
    assert.same({ { 31, -28 } }, (run(g, t, floats({ 10 }, { 1, 1 }))))
    for _, e in ipairs { -math.huge, math.huge, 0 / 0 } do
      for _, name in ipairs { "x", "w", "y" } do
        local broken = table_of { { "x", "input", { 0 } }, { "w", "weight", { 0 } }, { "b", "bias", { 0 } },
          { "y", "activation", { 0 } } }
        broken:set(name, "activation", { e })
        local outputs, message = run(g, broken, floats({ 10 }, { 1, 1 }))
        assert.is_truthy(outputs or type(message) == "string")
      end
    end
  end)

  it("passes averages and products on in float, unscaled", function()
    local g = net.model "input x N,1,1,2\n GlobalAveragePool x -> p\n Mul p p -> y\n output p y"
    local t = table_of { { "x", "input", { 0 } }, { "p", "activation", { 0 } }, { "y", "activation", { 3 } } }
    assert.same({ { 1.5 }, { 2.25 } }, (run(g, t, floats({ 1, 2 }, { 1, 1, 1, 2 }))))
  end)
end)

describe("the rewrite refuses", function()
  it("a tensor that two Adds rescale, in the original's words", function()
    local g = net.model [[
      input x N,1
      Flatten x -> a
      Flatten x -> b
      Add a b -> y
      Add y b -> z
      output z
    ]]
    local entries = {}
    for _, name in ipairs { "x", "a", "b", "y", "z" } do entries[#entries + 1] = { name, "activation", { 0 } } end
    local _, message = run(g, table_of(entries), floats({ 1 }, { 1, 1 }))
    assert.matches("Duplicate definition of name (b/scaled_input:0)", message, 1, true)
  end)

  it("a missing entry, and a weight of another number of scales", function()
    local g = net.model(GEMM)
    local t = table_of { { "x", "input", { 0 } }, { "w", "weight", { 0 } } }
    local _, message = run(g, t, floats({ 1 }, { 1, 1 }))
    assert.equal("the quantization parameter for y is not provided", message)
    t:set("b", "bias", { 0 })
    t:set("y", "activation", { 0 })
    _, message = run(g, t, floats({ 1 }, { 1, 1 }), { granularity = "per-channel" })
    assert.equal("the table has 1 scales for weight 'w', expected 2 (per-channel)", message)
  end)
end)
