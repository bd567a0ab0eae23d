local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function einsum(equation, x, w, options)
  options = options or {}
  return function(b)
    local weight = options.input and b.input("w", w) or b.random("w", w)
    if options.dtype then weight = b.constant(nil, core.tensor(w, options.dtype)) end
    b.output(b.node("Einsum", { b.input("x", x), weight }, { attrs = { equation = equation }, name = "e", out = "y" }))
  end
end

-- The graph's result for x is what plain Lua sums: y[i][n] = sum of x[i][k] * w[k][n], all axes flat.
local function computes(ops, shape, rows)
  return function(graph)
    assert.equal(ops, harness.ops(graph))
    assert(graph:infer_shapes())
    assert.same(shape, graph.outputs[1].shape)
    local w = harness.random({ rows, graph:node("e"):input(2).constant.shape[2] }, 1)
    local count = 1
    for _, d in ipairs(graph.inputs[1].shape) do count = count * d end
    local x = harness.random({ count // rows, rows }, 1001):totable()
    local y, got = w:totable(), harness.run(graph)[1]:reshape({ count // rows, -1 }):totable()
    for i, row in ipairs(x) do
      for n = 1, #y[1] do
        local sum = 0
        for k = 1, rows do sum = sum + row[k] * y[k][n] end
        assert.is_true(math.abs(sum - got[i][n]) < 1e-5)
      end
    end
  end
end

local function replaces(name, equation, x, w, check)
  return { name, build = einsum(equation, x, w), changes = 1, run = false, check = check }
end

local function refuses(name, equation, x, w, options)
  return { name, build = einsum(equation, x, w, options), changes = 0, run = false }
end

harness.describe("replace_dense_einsum", {
  replaces("sums two axes", "abcd,cde->abe", { 2, 3, 4, 5 }, { 4, 5, 6 }, computes("Reshape MatMul", { 2, 3, 6 }, 20)),
  replaces("leaves two axes", "abc, cde -> abde", { 2, 3, 4 }, { 4, 5, 6 },
    computes("MatMul Reshape", { 2, 3, 5, 6 }, 4)),
  replaces("multiplies", "abc,cd->abd", { 2, 3, 4 }, { 4, 5 }, computes("MatMul", { 2, 3, 5 }, 4)),
  replaces("sums and leaves two", "abc,bcde->ade", { 2, 3, 4 }, { 3, 4, 5, 6 },
    computes("Reshape MatMul Reshape", { 2, 5, 6 }, 12)),
  refuses("keeps axes in another order", "abcd,dce->abe", { 2, 3, 4, 4 }, { 4, 4, 5 }),
  refuses("keeps a transposed result", "abc,cd->adb", { 2, 3, 4 }, { 4, 5 }),
  refuses("keeps a batch of weights", "abc,acd->abd", { 2, 3, 4 }, { 2, 4, 5 }),
  refuses("keeps a diagonal", "aac,cd->aad", { 2, 2, 4 }, { 4, 5 }),
  refuses("keeps an ellipsis", "...c,cd->...d", { 2, 3, 4 }, { 4, 5 }),
  refuses("keeps a sum over everything", "ab,ab->", { 2, 3 }, { 2, 3 }),
  refuses("keeps weights that are computed", "abc,cd->abd", { 2, 3, 4 }, { 4, 5 }, { input = true }),
  refuses("keeps weights of another rank", "abc,cd->abd", { 2, 3, 4 }, { 4, 5, 1 }),
  refuses("keeps weights of another type", "abc,cd->abd", { 2, 3, 4 }, { 4, 5 }, { dtype = "float64" }),
})
