local errors = require "espquant.errors"
local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"

-- The error object that f(...) raises.
local function raised(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  return err
end

local function shapes_of(list)
  local shapes = {}
  for i, value in ipairs(list) do shapes[i] = value.shape end
  return shapes
end

-- x of that shape -> Reshape to the constant -> Relu -> y
local function reshape(shape, target, options)
  options = options or {}
  local b = harness.builder()
  b.graph.opset = 14
  local x = b.input("x", shape)
  local y = b.node("Reshape", { x, b.integers("shape", target) }, { name = "flat", attrs = options.attrs })
  b.output(b.node("Relu", { y }, { out = "y" }))
  return b.graph
end

local function target_of(graph) return graph:node "flat":input(2).constant:totable() end

describe("convert_model_batch_to_dynamic", function()
  local dynamic = optimizer.convert_model_batch_to_dynamic

  it("names the batch N, everywhere", function()
    local b = harness.builder()
    local conv = b.node("Conv", { b.input("x", { 1, 3, 4, 4 }), b.random("w", { 4, 3, 1, 1 }) }, { out = "c" })
    b.output(b.node("Flatten", { conv }, { out = "y" }))
    local before = tostring(b.graph)
    local graph = dynamic(b.graph)
    assert.same({ "N", 3, 4, 4 }, graph.inputs[1].shape)
    assert.same({ "N", 4, 4, 4 }, graph:value "c".shape)
    assert.same({ "N", 64 }, graph.outputs[1].shape)
    assert.equal(before, tostring(b.graph))
  end)

  it("keeps a name that there is, and lends it to the inputs without one", function()
    local b = harness.builder()
    local x, y, z = b.input("x", { "batch", 3 }), b.input("y", { false, 3 }), b.input("z", { 1, 3 })
    b.output(b.node("Add", { b.node("Add", { x, y }), z }))
    assert.same({ { "batch", 3 }, { "batch", 3 }, { 1, 3 } }, shapes_of(dynamic(b.graph).inputs))
  end)

  it("names a first dimension of which nothing is known", function()
    assert.same({ "N", 4 }, dynamic(reshape({ false, 4 }, { 0, 4 })).inputs[1].shape)
  end)

  it("rewrites a Reshape that begins with the batch, so that any number of images runs", function()
    for _, case in ipairs {
      { { 1, 4, 2 }, { 1, 8 }, { 0, 8 }, { "N", 8 } }, { { 1, 4, 2 }, { 1, -1 }, { 0, -1 }, { "N", 8 } },
      { { 3, 4, 2 }, { 3, 2, 4 }, { 0, 2, 4 }, { "N", 2, 4 } },
      { { 1, 4, 2 }, { 1, 2, 1, -1 }, { 0, 2, 1, -1 }, { "N", 2, 1, 4 } },
    } do
      local model = reshape(case[1], case[2])
      local graph = dynamic(model)
      assert.same(case[3], target_of(graph))
      assert.same(case[4], graph.outputs[1].shape)
      assert.same(case[2], target_of(model))
      local y = harness.run(graph)[1]
      assert.equal(2, y.shape[1])
    end
  end)

  it("keeps what follows the batch already", function()
    for _, target in ipairs { { 0, 8 }, { -1, 8 }, { 0, -1 } } do
      assert.same(target, target_of(dynamic(reshape({ 1, 4, 2 }, target))))
    end
  end)

  it("rewrites a 1 that was left in a model of dynamic batch, and keeps other numbers there", function()
    assert.same({ 0, 8 }, target_of(dynamic(reshape({ "N", 4, 2 }, { 1, 8 }))))
    assert.same({ 4, -1 }, target_of(dynamic(reshape({ "N", 4, 2 }, { 4, -1 }))))
  end)

  it("takes the 0 for the batch where it meant a zero, unless there is one", function()
    for _, target in ipairs { { 1, 8 }, { 1, -1 } } do
      local graph = dynamic(reshape({ 1, 4, 2 }, target, { attrs = { allowzero = 1 } }))
      assert.same({ 0, target[2] }, target_of(graph))
      assert.equal(0, graph:node_list()[1]:attr "allowzero")
    end
    local err = raised(dynamic, reshape({ 1, 4, 0 }, { 1, 0, 7 }, { attrs = { allowzero = 1 } }))
    assert.equal("unsupported", err.code)
  end)

  it("gives each of two Reshapes its own constant", function()
    local b = harness.builder()
    local x, shape, w = b.input("x", { 1, 8 }), b.integers("shape", { 1, 4, 2 }), b.random("w", { 8 })
    b.output(b.node("Reshape", { x, shape }, { name = "flat", out = "y" }))
    b.output(b.node("Reshape", { w, shape }, { name = "constant", out = "z" }))
    local graph = dynamic(b.graph)
    assert.same({ 0, 4, 2 }, target_of(graph))
    assert.same({ 1, 4, 2 }, graph:node "constant":input(2).constant:totable())
    assert.equal("flat_shape", graph:node "flat":input(2).name)
  end)

  it("leaves a Reshape alone that no input reaches, however long the way", function()
    local b = harness.builder()
    local w = b.node("Transpose", { b.random("w", { 4, 3 }) })
    w = b.node("Reshape", { w, b.integers("shape", { 12, 1 }) }, { name = "flat" })
    b.output(b.node("MatMul", { b.input("x", { 1, 12 }), w }))
    assert.same({ 12, 1 }, target_of(dynamic(b.graph)))
  end)

  it("refuses by name a Reshape that mixes the batch with other axes", function()
    for _, case in ipairs {
      { { 1, 8 }, { 4, 2 } }, { { 2, 8 }, { 4, 4 } }, { { 2, 8 }, { 16 } }, { { 4, 2, 2 }, { 2, 8 } },
    } do
      local err = raised(dynamic, reshape(case[1], case[2]))
      assert.equal("unsupported", err.code)
      assert.matches("Reshape 'flat': its constant shape {", err.message, 1, true)
    end
  end)

  it("refuses a Reshape to the batch of something that does not begin with it", function()
    local b = harness.builder()
    local x = b.node("Transpose", { b.input("x", { 2, 8 }) })
    b.output(b.node("Reshape", { x, b.integers("shape", { 2, 8 }) }, { name = "flat" }))
    assert.matches("Reshape 'flat'", raised(dynamic, b.graph).message, 1, true)
  end)

  it("refuses inputs of several batches, and leaves scalars", function()
    local b = harness.builder()
    b.output(b.node("Add", { b.input("x", { 1, 3 }), b.input("y", { 3 }) }))
    local err = raised(dynamic, b.graph)
    assert.equal("unsupported", err.code)
    assert.equal("input 'y' begins with 3, the batch is 1", err.message)
    b = harness.builder()
    b.output(b.node("Add", { b.input("x", { 1, 3 }), b.input("y", {}) }))
    assert.same({ { "N", 3 }, {} }, shapes_of(dynamic(b.graph).inputs))
  end)

  it("refuses a model without input or without batch", function()
    local b = harness.builder()
    b.output(b.node("Relu", { b.random("c", { 3 }) }))
    assert.equal("the model has no input", raised(dynamic, b.graph).message)
    b = harness.builder()
    b.output(b.node("Relu", { b.input("x", {}) }))
    local err = raised(dynamic, b.graph)
    assert.same({ "format", "input 'x' has no batch dimension" }, { err.code, err.message })
  end)
end)
