local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function tensor(list, dtype, shape) return core.tensor_from(list, dtype or "int64", shape) end

-- x + Cast(OneHot(indices, depth, values)) -> y
local function one_hot(indices, depth, values, options)
  options = options or {}
  return function(b)
    local hot = b.node("OneHot", { options.computed and b.input("i", { 2 }, "int64") or b.constant("indices", indices),
      b.constant("depth", depth), b.constant("values", values) }, { attrs = options.attrs })
    local float = b.node("Cast", { hot }, { attrs = { to = 1 } })
    b.output(b.node("Add", { b.input("x", { 1 }), float }, { name = "sum", out = "y" }))
  end
end

local function folded(list)
  return function(graph)
    local cast = graph:node "sum":input(2).producer
    assert.same(list, cast:input(1).constant:totable())
  end
end

local DEPTH, VALUES = tensor({ 3 }, nil, {}), tensor { 0, 1 }

harness.describe("fold_one_hot", {
  { "makes a matrix of a list", build = one_hot(tensor { 2, 0 }, DEPTH, VALUES), changes = 1, run = false,
    ops = "Cast Add", check = folded { { 0, 0, 1 }, { 1, 0, 0 } } },
  { "makes a list of a number", build = one_hot(tensor({ 1 }, nil, {}), tensor { 3 }, VALUES), changes = 1, run = false,
    ops = "Cast Add", check = folded { 0, 1, 0 } },
  { "counts from the end, and leaves out what is outside", run = false, changes = 1, ops = "Cast Add",
    build = one_hot(tensor { -1, 3, -4 }, DEPTH, tensor({ 0.5, 2 }, "float32"), { attrs = { axis = 1 } }),
    check = folded { { 0.5, 0.5, 2.0 }, { 0.5, 0.5, 0.5 }, { 0.5, 0.5, 0.5 } } },
  { "keeps computed indices", build = one_hot(nil, DEPTH, VALUES, { computed = true }), changes = 0, run = false },
  { "keeps another axis", build = one_hot(tensor { 2, 0 }, DEPTH, VALUES, { attrs = { axis = 0 } }), changes = 0,
    run = false },
  { "keeps a depth of nothing", build = one_hot(tensor { 2 }, tensor { 0 }, VALUES), changes = 0, run = false },
  { "keeps an absurd depth", build = one_hot(tensor { 2, 1, 0, 1 }, tensor { 1 << 62 }, VALUES), changes = 0,
    run = false },
  { "keeps values that are not two", build = one_hot(tensor { 2 }, DEPTH, tensor { 1 }), changes = 0, run = false },
  { "keeps indices that are floats", build = one_hot(tensor({ 2 }, "float32"), DEPTH, VALUES), changes = 0,
    run = false },
})
