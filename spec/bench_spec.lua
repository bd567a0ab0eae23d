local core = require "espquant.core"
local check = require "espquant.quant.check"
local optimizer = require "espquant.optimizer"

local models = dofile "scripts/bench/models.lua"

-- Numbers of a model: weights, biases and the four of BatchNormalization.
local PARAMETERS = {
  mnist_cnn = 225050, dscnn_kws = 24332, mlp_ad = 269992, ["mobilenet_v1_0.25_96"] = 475544,
  ["mobilenet_v2_0.35_96"] = 1691208, det_nano_224 = 268977, ["mobilenet_v2_1.0_224"] = 3538984,
  resnet50_224 = 25610152,
}
local WITH_PARAMETERS = { Conv = true, Gemm = true, BatchNormalization = true }

local function parameters(graph)
  local n = 0
  for node in graph:nodes() do
    for _, input in ipairs(WITH_PARAMETERS[node.op_type] and node.inputs or {}) do
      if input and input.constant then n = n + input.constant.count end
    end
  end
  return n
end

local function powers(graph, name)
  local names = {}
  for node in graph:nodes() do
    if node.op_type == "BatchNormalization" then names[#names + 1] = node:output(1).name end
  end
  local list = core.executor(graph, { outputs = names }):run(models.images(name, 2))
  for i, t in ipairs(list) do list[i] = (t * t):mean() end
  return list
end

describe("the models of the benchmark", function()
  for _, name in ipairs(models.names) do
    for _, form in ipairs { "float", "chip" } do
      it(("%s (%s) is a valid graph of known size #unit"):format(name, form), function()
        local graph = models.build(name, form)
        assert.is_true(graph:verify())
        assert.is_true(graph:check())
        assert.is_true(graph:infer_shapes())
        assert.equal(PARAMETERS[name], parameters(graph))
        assert.equal("N", graph.outputs[1].shape[1])
      end)
    end
  end

  it("have a chip form that can be quantized", function()
    for _, name in ipairs { "dscnn_kws", "det_nano_224", "mobilenet_v2_0.35_96" } do
      local ok, message = check(optimizer.optimize(models.build(name, "chip")), "chip", "calibrator")
      assert.is_true(ok, message)
    end
  end)

  it("compute the same in both forms, where the forms differ in the upsampling alone #unit", function()
    local float, chip = models.build("det_nano_224", "float"), models.build("det_nano_224", "chip")
    local names = {}
    for node in float:nodes() do
      if node.op_type == "Sigmoid" then names[#names + 1] = node:input(1).name end
    end
    local images = models.images("det_nano_224", 1)
    local ours = core.executor(float, { outputs = names }):run(images)
    local theirs = core.executor(chip):run(images)
    assert.equal(3, #ours)
    for i, t in ipairs(ours) do assert.is_true(t:equal(theirs[i])) end
  end)

  it("neither fade nor grow through the layers", function()
    for _, name in ipairs { "mnist_cnn", "mobilenet_v1_0.25_96", "mobilenet_v2_0.35_96" } do
      for i, power in ipairs(powers(models.build(name), name)) do
        assert.is_true(power > 0.2 and power < 10, ("%s: layer %d has power %g"):format(name, i, power))
      end
    end
  end)

  it("are the same bytes each time", function()
    local function digest() return core.sha256(core.onnx_encode(models.build "mnist_cnn")) end
    assert.equal(digest(), digest())
  end)

  it("runs mnist_cnn with any number of images", function()
    local images = models.images("mnist_cnn", 5)
    local all = core.executor(models.build "mnist_cnn"):run(images)[1]
    local last = core.executor(models.build "mnist_cnn"):run(images:slice(5, 5))[1]
    assert.same({ 5, 10 }, all.shape)
    assert.is_true(all:slice(5, 5):equal(last))
  end)

  it("raises for a name that it does not know", function()
    assert.error_matches(function() models.build "alexnet" end, "no model 'alexnet'; there are: mnist_cnn")
  end)
end)
