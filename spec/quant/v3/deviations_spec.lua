-- Where the kernels of an ESP-DL version differ from the simulation of its quantizer: which do, and what they compute.
local apply = require "espquant.quant.v3.apply"
local core = require "espquant.core"
local deviations = require "espquant.quant.v3.deviations"
local espdl_graph = require "espquant.espdl_graph"
local espdl_test = require "espquant.espdl_test"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local v3 = require "spec.support.v3"

-- Every PRelu of the recorded case with this version: the graph and its record.
local function graph_of(folder, version)
  local case = fixtures.open("leaky_prelu", "v3")
  local json = case.json(folder .. "/table.json")
  local record = { folder = folder, target = json.target, bits = math.tointeger(json.num_of_bits), table = json }
  local model = v3.model(case)
  local options = { chip = record.target, bits = record.bits, runtime_version = version }
  return assert(apply(model, v3.recorded_table(model, record), options)), case, record
end

-- The plain C kernel of ESP-DL: x >= 0 as it is, x * slope shifted to the right without rounding.
local function plain_prelu(x, slopes, shift, bits)
  local shape, list = x.shape, x:reshape({ -1 }):totable()
  local plane = shape[3] * shape[4]
  for i, q in ipairs(list) do
    local channel = (i - 1) // plane % shape[2] + 1
    if q < 0 then list[i] = math.max(q * slopes[channel] // (1 << shift), -(1 << bits - 1)) end
    list[i] = math.min(list[i], (1 << bits - 1) - 1)
  end
  return core.tensor_from(list, x.dtype):reshape(shape)
end

local function node_of(graph, domain)
  for node in graph:nodes() do
    if node.op_type == "PRelu" and node.domain == domain then return node end
  end
end

describe("deviations of ESP-DL's kernels", function()
  it("are known by version, chip and width", function()
    assert.truthy(deviations.find("3.3.9", "PRelu", "c", 8))
    assert.truthy(deviations.find("3.3.9", "PRelu", "p4", 16))
    assert.is_nil(deviations.find("3.3.9", "PRelu", "p4", 8))
    assert.is_nil(deviations.find("3.3.9", "PRelu", "s3", 16))
    assert.is_nil(deviations.find("3.3.9", "Conv", "c", 8))
    assert.is_nil(deviations.find(nil, "PRelu", "c", 8))
    assert.is_true(deviations.is_version "3.10.0")
    for _, text in ipairs { "3", "3.3", "v3.3.9", "3.3.9-rc", "", "3.3.99999999999999999999" } do
      assert.is_false(deviations.is_version(text), text)
    end
  end)

  it("leave graphs as they are where there is none", function()
    for _, folder in ipairs { "esp32s3_8bit", "esp32p4_8bit", "esp32s3_16bit" } do
      local with, without = graph_of(folder, "3.3.9"), graph_of(folder)
      assert.equal(tostring(without), tostring(with))
      assert.truthy(node_of(with, ""))
    end
  end)

  it("are computed between equal exponents", function()
    local graph, case = graph_of("c_8bit", "3.3.9")
    local node = node_of(graph, "esp")
    local x, slope, y = node:input(1), node:input(2), node:output(1)
    assert.same(x.quant, y.quant)
    assert.equal("RequantizeLinear", y:users()[1].op_type)
    assert.equal("prelu_9_out", y:users()[1]:output(1).name)
    local exec <close> = core.executor(graph, { threads = 1, outputs = { x.name, y.name } })
    local got = assert(exec:run(case.tensor "input.npy"))
    local slopes = slope.constant:reshape({ -1 }):totable()
    assert.is_true((plain_prelu(got[1], slopes, -slope.quant.exponents[1], 8):equal(got[2])))
  end)

  it("are at most 1 from what the quantizer simulates", function()
    local asked, case = graph_of("c_8bit", "3.3.9")
    local simulated = graph_of "c_8bit"
    local function run(graph)
      local exec <close> = core.executor(graph, { threads = 1, outputs = { "prelu_9_out" } })
      return assert(exec:run(case.tensor "input.npy"))[1]:astype "float32"
    end
    local difference = (run(asked) - run(simulated)):maxabs()
    assert.is_true(difference > 0 and difference <= 2, tostring(difference)) -- two steps of the finer output
  end)

  it("are what the exported file's test holds, which says so", function()
    local case = fixtures.open("leaky_prelu", "v3")
    local model, path = v3.model(case), os.tmpname()
    for folder, version in pairs { c_8bit = "3.3.9", esp32s3_8bit = false } do
      local json = case.json(folder .. "/table.json")
      local record = { target = json.target, bits = 8, table = json }
      local calib = espquant.Calibrator { bits = "int8", runtime = "v3", target = json.target }
      calib:export_espdl(model, v3.recorded_table(model, record), path, { test_input = case.tensor "input.npy" })
      local entry = assert(espquant.espdl.load(path))[1]
      local found = false
      for _, note in ipairs(entry.model.metadata_props) do
        if note.key == "runtime_version" then found = note.value end
      end
      assert.equal(version, found)
      for _, tensor in ipairs(assert(espdl_test(assert(espdl_graph.read(entry, json.target)), entry))) do
        assert.equal(0, tensor.different)
      end
    end
    os.remove(path)
  end)

  it("are asked for by an option of the Evaluator", function()
    local eva = espquant.Evaluator { bits = "int8", runtime = "v3", chip = "c", runtime_version = "3.3.9" }
    local graph, case = graph_of("c_8bit", "3.3.9")
    local model = v3.model(case)
    local json = case.json "c_8bit/table.json"
    eva:generate_quantized_model(model, v3.recorded_table(model, { target = "c", bits = 8, table = json }))
    assert.equal(tostring(graph), tostring(eva.graph))
    assert.has_error(function() espquant.Evaluator { bits = "int8", runtime = "v3", runtime_version = "new" } end,
      'runtime_version: a version of ESP-DL such as 3.3.9 expected, got "new"')
    assert.has_error(function() espquant.Evaluator { bits = "int8", runtime_version = "3.3.9" } end)
  end)
end)
