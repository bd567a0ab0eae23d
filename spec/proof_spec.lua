--- The comparison of two models on random input: which inputs it makes, and which not.
local core = require "espquant.core"
local proof = require "espquant.proof"

local function graph(op, dtype, shape)
  local g = core.graph { opset = 13 }
  g:add_output(g:add_node { op_type = op, inputs = { g:add_input("x", dtype, shape) }, outputs = { "y" } }:output(1))
  g:infer_shapes()
  return g
end

describe("a model before and after", function()
  it("is compared on numbers in [-1, 1), no two rows of which are alike", function()
    local before, after = graph("Abs", "float32", { 3, 1 << 16 }), graph("Identity", "float32", { 3, 1 << 16 })
    local facts = assert(proof.compare(before, after))
    assert.is_true(facts.difference > 1.9 and facts.difference <= 2)
    assert.equal(0, proof.compare(before, before).difference)
    assert.equal(0, proof.compare(graph("Neg", "float64", { 4 }), graph("Neg", "float64", { 4 })).difference)
  end)

  for _, case in ipairs {
    { "float32", { 1, 1 << 25 }, "input 'x' has more than 16777216 numbers" },
    { "int64", { 1 << 20, 1 << 20 }, "input 'x' has more than 16777216 numbers" },
    { "float32", { math.maxinteger, math.maxinteger }, "input 'x' has more than 16777216 numbers" },
    { "float32", { 0, 1 << 62 }, "input 'x': shape 0x4611686018427387904 has too many elements" },
    { "int64", { 0, 1 << 62 }, "shape 0x4611686018427387904 has too many elements" },
  } do
    it(("is not where its input %s of %s would be too large"):format(case[1], table.concat(case[2], "x")), function()
      local g = graph("Identity", case[1], case[2])
      assert.same({ nil, case[3] }, { proof.compare(g, g) })
    end)
  end

  it("is not where both are beyond the limits of a run", function()
    local g = graph("Size", "float32", { 1 << 23 })
    g:add_output(g:add_node { op_type = "Expand", inputs = { g:value "x", g:add_constant(nil,
      core.tensor_from({ 1 << 7, 1 }, "int64")) }, outputs = { "z" } }:output(1))
    local facts, message = proof.compare(g, g)
    assert.is_nil(facts)
    assert.matches("the limit is 2147483648 (--limit-bytes)", message, 1, true)
  end)
end)
