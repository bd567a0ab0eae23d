local P = require "espquant.pattern"
local harness = require "spec.support.pass_harness"

-- x -> Relu r -> Add(r, c) a -> output, and what a test adds
local function small()
  local b = harness.builder()
  local x, c = b.input("x", { 2, 3 }), b.random("c", { 3 })
  local relu = b.make("Relu", { x }, { name = "relu" })
  local r = relu:output(1)
  local add = b.make("Add", { r, c }, { name = "add" })
  local a = add:output(1)
  b.output(a)
  return b, { x = x, c = c, r = r, relu = relu, a = a, add = add }
end

describe("a pattern", function()
  it("captures nodes and values by name", function()
    local _, v = small()
    local m = P.match(P.Add { P.Relu { P.any "x" }:as "relu", P.const "c" }:as "add", v.add)
    assert.same({ x = v.x, relu = v.relu, c = v.c, add = v.add }, m)
  end)

  it("needs its operator, in ONNX's own domain", function()
    local b, v = small()
    local foreign = b.make("Relu", { v.x }, { domain = "com.example" })
    assert.is_table(P.match(P.Relu { P.any() }, v.relu))
    assert.is_nil(P.match(P.Sigmoid { P.any() }, v.relu))
    assert.is_nil(P.match(P.Relu { P.any() }, foreign))
  end)

  it("tells constants from other values", function()
    local _, v = small()
    assert.is_nil(P.match(P.Add { P.const(), P.const() }, v.add))
    assert.is_nil(P.match(P.Add { P.any(), P.Relu { P.any() } }, v.add))
  end)

  it("allows no further inputs unless it is told so", function()
    local _, v = small()
    assert.is_nil(P.match(P.Add { P.any() }, v.add))
    assert.is_table(P.match(P.Add { P.any() }:more(), v.add))
    assert.is_nil(P.match(P.Relu { P.any(), P.any() }, v.relu))
  end)

  it("takes an optional input or its absence, also one that is left out in the middle", function()
    local b, v = small()
    local clip = P.Clip { P.any(), P.opt(P.const "low"), P.opt(P.const "high") }
    local bare = b.make("Clip", { v.x })
    local full = b.make("Clip", { v.x, false, v.c })
    local computed = b.make("Clip", { v.x, v.r })
    assert.same({}, P.match(clip, bare))
    assert.same({ high = v.c }, P.match(clip, full))
    assert.is_nil(P.match(clip, computed))
    assert.is_table(P.match(P.Clip { P.any() }, bare))
  end)

  it("counts an absent trailing input as none", function()
    local b, v = small()
    local node = b.make("Clip", { v.x, false, false })
    assert.is_table(P.match(P.Clip { P.any() }, node))
  end)

  it("may ask that a value has one reader and is no output", function()
    local b, v = small()
    local once = P.Add { P.Relu { P.any() }:only_use(), P.any() }
    assert.is_table(P.match(once, v.add))
    b.output(v.r)
    assert.is_nil(P.match(once, v.add))
    local twice = b.make("Add", { v.a, v.a })
    assert.is_nil(P.match(P.Add { P.Add { P.any(), P.any() }:only_use(), P.any() }, twice))
  end)

  it("takes the first of several that fits, and forgets the captures of the others", function()
    local _, v = small()
    local either = P.Add {
      P.either { P.Relu { P.const "c" }, P.Relu { P.any "x" }:as "relu", P.any "y" }:as "r", P.const "c",
    }
    assert.same({ x = v.x, relu = v.relu, r = v.r, c = v.c }, P.match(either, v.add))
    assert.is_nil(P.match(P.Add { P.either { P.const(), P.Abs { P.any() } }, P.any() }, v.add))
    assert.is_nil(P.match(P.Add { P.either { P.any "x" }, P.any "x" }, v.add))
  end)

  it("tries both orders and forgets the captures of the first", function()
    local b, v = small()
    local any = P.Add { P.Clip { P.any "x", P.opt(P.const "low") }:as "clip", P.const "bias" }:any_order():as "add"
    local clipped = b.node("Clip", { v.x, v.c })
    local plain = b.node("Clip", { v.x })
    local add = b.make("Add", { v.c, plain })
    assert.equal(v.c, P.match(any, add).bias)
    -- Clip with a minimum fits the first place, but the second is no constant; the other order is no match either.
    local both = b.make("Add", { clipped, plain })
    assert.is_nil(P.match(any, both))
    local two = P.Add { P.Clip { P.any(), P.opt(P.const "low") }, P.Clip { P.any() } }:any_order()
    local swapped = b.make("Add", { plain, clipped })
    assert.equal(v.c, P.match(two, swapped).low)
    local stale = P.Add { P.Clip { P.any(), P.opt(P.const "low") }, P.Clip { P.any(), P.const "other" } }:any_order()
    assert.same({ other = v.c }, P.match(stale, both))
    assert.same({ other = v.c }, P.match(stale, swapped))
  end)

  it("changes the order of the first two inputs only", function()
    local b, v = small()
    local node = b.make("Sum", { v.c, v.x, v.r })
    local m = P.match(P.Sum { P.any "first", P.const "second", P.any "third" }:any_order(), node)
    assert.same({ first = v.x, second = v.c, third = v.r }, m)
  end)

  it("tries the other order when the first fails its test", function()
    local b, v = small()
    local other = b.input("other", { 2, 3 })
    local add = b.make("Add", { v.x, other })
    local function other_is_left(_, captures) return captures.l == other end
    local m = P.match(P.Add { P.any "l", P.any "r" }:any_order():where(other_is_left), add)
    assert.same({ l = other, r = v.x }, m)
  end)

  it("matches a repeated name only with one and the same value", function()
    local b, v = small()
    local square = P.Mul { P.any "x", P.any "x" }
    local same = b.make("Mul", { v.x, v.x })
    local different = b.make("Mul", { v.x, v.r })
    assert.same({ x = v.x }, P.match(square, same))
    assert.is_nil(P.match(square, different))
  end)

  it("compares attributes and their defaults", function()
    local b, v = small()
    local plain = b.make("Gemm", { v.x, v.x })
    local scaled = b.make("Gemm", { v.x, v.x }, { attrs = { alpha = 2.0 } })
    local hostile = b.make("Gemm", { v.x, v.x }, { attrs = { alpha = "1" } })
    local gemm = P.Gemm { P.any(), P.any() }:with { alpha = 1 }
    assert.is_table(P.match(gemm, plain))
    assert.is_nil(P.match(gemm, scaled))
    assert.is_nil(P.match(gemm, hostile))
  end)

  it("declines a node whose further outputs are read", function()
    local b, v = small()
    local node = b.make("Dropout", { v.x }, { outputs = { "kept", "mask" } })
    local dropout = P.Dropout { P.any() }
    assert.is_table(P.match(dropout, node))
    b.output(node:output(2))
    assert.is_nil(P.match(dropout, node))
  end)

  it("matches a value only as the first output of its producer", function()
    local b, v = small()
    local drop = b.make("Dropout", { v.x }, { outputs = { "kept", "mask" } })
    local on_mask = b.make("Relu", { drop:output(2) })
    assert.is_nil(P.match(P.Relu { P.Dropout { P.any() } }, on_mask))
  end)

  it("refuses a misspelt kind", function()
    assert.has_error(function() return P.cosnt "w" end, "no kind of pattern is called 'cosnt'")
  end)
end)
