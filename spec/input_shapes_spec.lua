--- Shapes of inputs that the user gives, on the command line and from Lua.

local core = require "espquant.core"
local onnx = require "espquant.onnx"
local process = require "spec.support.process"

local folder
before_each(function() folder = process.folder() end)
after_each(function() process.remove(folder) end)

-- x: N,3,H,W -> 1x1 Conv -> Reshape to `target` -> Relu, in a file
local function model(shape, target)
  local graph = core.graph { opset = 13 }
  local w = graph:add_constant("w", core.tensor_from({ 1, 2, 3 }, "float32"):reshape { 1, 3, 1, 1 })
  local conv = graph:add_node { op_type = "Conv", name = "conv", outputs = 1,
    inputs = { graph:add_input("x", "float32", shape), w } }
  local s = graph:add_constant("s", core.tensor_from(target, "int64"))
  local flat = graph:add_node { op_type = "Reshape", name = "flat", inputs = { conv:output(1), s }, outputs = 1 }
  graph:add_output(graph:add_node { op_type = "Relu", inputs = { flat:output(1) }, outputs = { "y" } }:output(1))
  local path = folder .. "/m.onnx"
  assert(core.onnx_write(graph, path))
  return path
end

local function load(path, shapes)
  local graph, message, code = onnx.load(path, { shapes = shapes })
  return graph and { graph.inputs[1].shape, graph.outputs[1].shape } or nil, message, code
end

describe("shapes of inputs", function()
  it("replace symbols and numbers, and are known behind them", function()
    local want = { { 1, 3, 4, 5 }, { 1, 20 } }
    for _, shape in ipairs { { "N", 3, "H", "W" }, { 1, 3, 8, 8 }, { 1, 3, false, 5 } } do
      assert.same(want, load(model(shape, { 1, -1 }), { x = { 1, 3, 4, 5 } }))
    end
  end)

  it("keep others as they are", function()
    assert.same({ { 1, 3, 2, 2 }, { 1, 4 } }, load(model({ 1, 3, 2, 2 }, { 1, -1 }), {}))
  end)

  it("name a Reshape that was built for another one, and what to do", function()
    local _, message, code = load(model({ 1, 3, 8, 8 }, { 1, 64 }), { x = { 1, 3, 4, 4 } })
    assert.equal("format", code)
    assert.matches("Reshape 'flat'.*shape 1x1x4x4 does not fit into shape 1x64.*export it for this input", message)
  end)

  it("are refused for what is no input, and for another rank; all at once", function()
    local _, message, code = load(model({ 1, 3, 8, 8 }, { 1, -1 }), { y = { 1 }, x = { 3, 4, 4 }, w = { 1 } })
    assert.equal("format", code)
    assert.matches("no input 'w'; its inputs are: x; input 'x' has 4 dimensions, 1x3x8x8, the shape given has 3; "
      .. "the model has no input 'y'", message)
  end)
end)

describe("--shape", function()
  local function run(...) return process.run { process.espquant, ... } end

  it("is for every command that reads a model", function()
    local path = model({ "N", 3, "H", "W" }, { 1, -1 })
    local out = run("info", path, "--shape", "x=1x3x4x5")
    assert.equal(0, out.status)
    assert.matches("input  x: float32 1x3x4x5", out.stdout)
    assert.matches("output y: float32 1x20", out.stdout)
    assert.equal(0, run("check", path, "--shape", "1x3x4x5").status)
    assert.equal(0, run("optimize", path, "-o", folder .. "/o.onnx", "--shape", "1x3x4x5").status)
    assert.same({ 1, 3, 4, 5 }, assert(onnx.load(folder .. "/o.onnx")).inputs[1].shape)
  end)

  it("says what is wrong with it", function()
    local path = model({ 1, 3, 8, 8 }, { 1, 64 })
    assert.equal(2, run("info", path, "--shape", "x=1x3x0x5").status)
    local out = run("check", path, "--shape", "x=1x3x4x4")
    assert.not_equal(0, out.status)
    assert.matches("flat.*does not fit into shape 1x64", out.stdout .. out.stderr)
    out = run("info", path, "--shape", "z=1x3x8x8")
    assert.equal(3, out.status)
    assert.matches("no input 'z'", out.stderr)
  end)
end)
