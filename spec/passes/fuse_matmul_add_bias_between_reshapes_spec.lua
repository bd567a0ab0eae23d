local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"

-- x (6,4) -> Reshape to (2,3,4) -> MatMul + bias -> Reshape to (3,2,5) -> Neg
local function build(o)
  o = o or {}
  return function(b)
    local x = b.node("Neg", { b.input("x", o.shape or { 6, 4 }) })
    if not o.bare then x = b.node("Reshape", { x, b.integers("split", o.split or { 2, 3, 4 }) }) end
    if o.before then b.output(x) end
    local y = b.node("MatMul", { x, b.random("w", { 4, 5 }) }, { name = "fc" })
    y = b.node("Add", { b.random("bias", o.bias or { 5 }), y }, { out = "sum" })
    if o.behind then b.output(y) end
    if o.back then y = b.node("Reshape", { y, b.integers("back", o.back) }) end
    b.output(b.node("Neg", { y }, { out = "y" }))
  end
end

local BACK = { 3, 2, 5 }
local function keeps(name, o) return { name, build = build(o), changes = 0, exact = true } end

harness.describe("fuse_matmul_add_bias_between_reshapes", {
  { "makes a Gemm between two Reshapes", build = build { back = BACK }, changes = 1,
    ops = "Neg Reshape Reshape Gemm Reshape Reshape Neg" },
  { "keeps an open dimension open", build = build { shape = { "N", 4 }, split = { -1, 1, 4 }, back = { 1, -1, 5 } },
    changes = 1, ops = "Neg Reshape Reshape Gemm Reshape Reshape Neg" },
  keeps("keeps it where no Reshape follows", {}),
  keeps("keeps it where none is in front", { bare = true, shape = { 2, 3, 4 }, back = BACK }),
  keeps("keeps it where others read what is in front", { before = true, back = BACK }),
  keeps("keeps it where others read what follows", { behind = true, back = BACK }),
  keeps("keeps a sum that is no bias", { bias = { 3, 1 }, back = BACK }),
  keeps("keeps rank 2", { split = { 6, 4 }, back = BACK }),
})

describe("fuse_matmul_add_bias_between_reshapes", function()
  it("leaves one node less, with the other passes", function()
    local b = harness.builder()
    build { back = BACK }(b)
    local graph = optimizer.optimize(b.graph, nil, { verify = true, fixed_point = true })
    assert.equal("Neg Gemm Reshape Neg", harness.ops(graph))
  end)
end)
