--- .espdl files, read back and simulated: the tests that esp-ppq put into them, ours, and damaged ones.

local codec = require "espquant.codec.espdl"
local core = require "espquant.core"
local espdl_graph = require "espquant.espdl_graph"
local espdl_test = require "espquant.espdl_test"
local export = require "espquant.export.espdl"
local fixtures = require "spec.support.fixtures"
local process = require "spec.support.process"
local v3 = require "spec.support.v3"

local function check(bytes, label, chip)
  local entry = assert(codec.decode(bytes))[1]
  local graph = assert(espdl_graph.read(entry, chip))
  local facts = assert(espdl_test(graph, entry))
  for _, f in ipairs(facts) do assert.equal(0, f.different, label .. " " .. f.name) end
  return #facts
end

describe("an .espdl file, simulated", function()
  it("gives what esp-ppq embedded, in every element", function()
    local files, tensors = 0, 0
    v3.each(function(label, case, record)
      tensors = tensors + check(case.bytes(record.folder .. "/model.espdl"), label, record.target)
      files = files + 1
    end)
    print(("  %d recorded files: %d outputs equal"):format(files, tensors))
    assert.equal(52, files)
  end)

  it("gives what the graph gave that it was written from", function()
    local files = 0
    v3.each(function(label, case, record)
      local graph = v3.model(case)
      local names = {}
      for node in graph:nodes() do names[#names + 1] = node.op_type == "AveragePool" and node:output(1).name or nil end
      check(assert(export.encode(graph, v3.recorded_table(graph, record), { target = record.target,
        bits = record.bits, test_input = case.tensor "input.npy", intermediates = names })), label, record.target)
      files = files + 1
    end)
    assert.equal(52, files)
  end)

  it("says where a number differs", function()
    local entry = assert(codec.decode(fixtures.open("gemm_mlp", "v3").bytes "esp32s3_8bit/model.espdl"))[1]
    local out = entry.model.graph.test_outputs_value[1]
    out.raw_data = string.char(out.raw_data:byte() ~ 1) .. out.raw_data:sub(2)
    local facts = assert(espdl_test(assert(espdl_graph.read(entry)), entry))
    assert.same({ 1, 1.0 }, { facts[1].different, facts[1].most })
  end)

  it("is refused where it is damaged, and never crashes", function()
    local bytes = fixtures.open("depthwise_block", "v3").bytes "esp32s3_8bit/model.espdl"
    local refused, read, seed = 0, 0, 7
    local function random(n)
      seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (seed >> 24) % n
    end
    for _ = 1, 300 do
      local at = 17 + random(#bytes - 17)
      local damaged = bytes:sub(1, at - 1) .. string.char(random(256)) .. bytes:sub(at + 1)
      local models, message = codec.decode(damaged)
      local graph, why
      if models then graph, why = espdl_graph.read(models[1]) end
      if graph then
        espdl_test(graph, models[1])
        read = read + 1
      else
        assert.equal("string", type(message or why))
        refused = refused + 1
      end
    end
    assert.is_true(refused > 20 and read > 20)
  end)
end)

describe("espquant run m.espdl", function()
  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  local function run(bytes, ...)
    assert(core.write_file(folder .. "/m.espdl", bytes))
    return process.run({ process.espquant, "run", folder .. "/m.espdl", ... })
  end

  it("exits with 0 where the test holds, with 1 where it does not", function()
    local bytes = fixtures.open("tiny_conv_relu_gemm", "v3").bytes "esp32p4_8bit/model.espdl"
    local r = run(bytes)
    assert.equal(0, r.status, r.stderr)
    assert.matches("all 5 elements equal", r.stdout)
    local entry = assert(codec.decode(bytes))[1]
    local out = entry.model.graph.test_outputs_value[1]
    out.raw_data = string.char(out.raw_data:byte() ~ 1) .. out.raw_data:sub(2)
    r = run(codec.encode(entry.model))
    assert.equal(1, r.status)
    assert.matches("1 of 5 elements differ, by 1 at most", r.stdout)
  end)

  it("refuses data and tables, which are for .onnx files", function()
    local bytes = fixtures.open("tiny_conv_relu_gemm", "v3").bytes "esp32p4_8bit/model.espdl"
    assert.equal(2, run(bytes, "-d", "x.npy").status)
  end)

  it("names what cannot be simulated", function()
    local entry = assert(codec.decode(fixtures.open("gemm_mlp", "v3").bytes "c_8bit/model.espdl"))[1]
    entry.model.graph.node[2].op_type = "Teleport"
    local r = run(codec.encode(entry.model))
    assert.equal(4, r.status, r.stdout)
    assert.matches("Teleport", r.stderr)
  end)
end)
