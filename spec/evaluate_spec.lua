--- Node by node: shapes that depend on data, the same results as the executor's, and folding of constants.

local core = require "espquant.core"
local run = require "spec.support.run"

describe("core.evaluate", function()
  it("gives what the executor gives", function()
    local g, images = run.network(), run.numbers({ 3, 3, 8, 8 }, 9)
    local expected = run.run(g, images, { outputs = run.ALL })
    local got, names = core.evaluate(g, images, run.ALL)
    assert.same(run.ALL, names)
    for i, t in ipairs(expected) do run.assert_equal(t, got[i], names[i]) end
  end)

  it("computes integer graphs too", function()
    local g, images = run.integer_network(), run.numbers({ 2, 3, 8, 8 }, 9)
    local q = run.quantized(g, images)
    local expected = run.run(q, images)
    local input = q.inputs[1].name
    local integers = run.run(q, images, { outputs = { input } })[1]
    run.assert_equal(expected[1], core.evaluate(q, integers)[1])
  end)

  it("takes shapes from data", function()
    local g = core.graph { name = "spec", opset = 13 }
    local x, shape = g:add_input("x", "float32", { 2, 6 }), g:add_input("shape", "int64", { 2 })
    g:add_output(g:add_node { op_type = "Reshape", inputs = { x, shape }, outputs = { "y" } })
    local t = run.numbers({ 2, 6 })
    run.assert_equal(t:reshape { 4, 3 }, core.evaluate(g, { t, run.ints { 4, -1 } })[1])
    local nothing, message = core.evaluate(g, { t, run.ints { 5, -1 } })
    assert.is_nil(nothing)
    assert.matches("Reshape", message)
  end)

  it("refuses inputs of another type", function()
    local g = run.network()
    assert.same({ nil, "input 'x' is int64, expected float32", "format" },
      { core.evaluate(g, core.tensor({ 1, 3, 8, 8 }, "int64")) })
  end)

  it("has nothing to do where nothing comes out, however large the other axes are", function()
    local huge = { 1 << 32, 0 }
    for _, case in ipairs {
      { "Mod", 2, { fmod = 1 } }, { "Equal", 2 }, { "Where", 3 }, { "ReduceMax", 1, { keepdims = 0 }, ints = { -1 } },
      { "LayerNormalization", 2 }, { "LpNormalization", 1, { axis = 1 } }, { "LpNormalization", 1, { axis = 0 } },
    } do
      local op, n, attrs = case[1], case[2], case[3]
      local shape = op == "ReduceMax" and { 1 << 32, 0, 1 } or huge
      local g = core.graph { name = "spec", opset = 18 }
      local x = g:add_input("x", "float32", shape)
      local inputs = { x, n > 1 and x or nil, n > 2 and x or nil }
      if op == "Where" then inputs[1] = g:add_constant(nil, core.tensor({ 1 }, "bool")) end
      if op == "LayerNormalization" then inputs[2] = g:add_constant(nil, core.tensor({ 1 }, "float32")) end
      if case.ints then inputs[2] = g:add_constant(nil, run.ints(case.ints)) end
      g:add_output(g:add_node({ op_type = op, inputs = inputs, outputs = { "y" }, attrs = attrs }):output(1))
      local from = core.clock()
      assert.same(huge, assert(core.evaluate(g, core.tensor(shape)))[1].shape)
      assert.is_true(core.clock() - from < 2, op)
    end
  end)

  it("names what it cannot compute", function()
    local g = core.graph { name = "spec", opset = 13 }
    local x = g:add_input("x", "float32", { 2 })
    g:add_output(g:add_node { op_type = "Strange", name = "s", inputs = { x }, outputs = { "y" } })
    assert.same({ nil, "no implementation for Strange 's'", "unsupported" }, { core.evaluate(g, run.numbers { 2 }) })
  end)
end)

describe("core.fold_constants", function()
  local function graph()
    return run.build({ { "x", { "N", 3 } } }, {
      { "Add", { run.numbers({ 3 }, 1), run.numbers({ 3 }, 2) }, "a" },
      { "Relu", { "a" }, "b" },
      { "Add", { "x", "b" }, "y" },
      { "Expand", { run.numbers({ 1 }, 3), run.ints { 1000, 1000 } }, "large" },
    }, { "y", "b", "large" })
  end

  it("leaves the nodes that depend on an input, or would grow beyond the limit", function()
    local g, images = graph(), run.numbers({ 4, 3 }, 5)
    local before = run.run(g, images)
    assert.equal(2, core.fold_constants(g))
    local left = {}
    for _, n in ipairs(g:node_list()) do left[#left + 1] = n.op_type end
    assert.same({ "Add", "Expand" }, left)
    assert.is_true(g:verify())
    for i, t in ipairs(run.run(g, images)) do run.assert_equal(before[i], t) end
    assert.equal(0, core.fold_constants(g))
    assert.equal(1, core.fold_constants(g, 4000000))
  end)

  it("makes no more than four times the limit in all", function()
    local nodes, names = {}, {}
    for i = 1, 6 do
      names[i] = "y" .. i
      nodes[i] = { "Expand", { run.numbers({ 1 }, i), run.ints { 1000 } }, names[i] }
    end
    local g = run.build({ { "x", { "N", 3 } } }, nodes, names)
    assert.equal(4, core.fold_constants(g, 4000))
    assert.equal(2, #g)
  end)

  it("leaves a node that fails to whoever runs it", function()
    local g = core.graph { name = "spec", opset = 13 }
    g:add_output(g:add_node { op_type = "Reshape", outputs = { "y" },
      inputs = { g:add_constant("x", run.numbers { 6 }), g:add_constant("shape", run.ints { 4 }) } })
    assert.equal(0, core.fold_constants(g))
    assert.equal(1, #g)
  end)
end)
