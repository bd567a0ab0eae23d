-- Artefacts say what they were made from, and espquant verify tells whether that is a model.
local cjson = require "cjson"
local process = require "spec.support.process"

local MODEL, DIGITS = process.root .. "/examples/mnist.onnx", process.root .. "/examples/data/mnist/"
local folder

local function run(...)
  return process.run({ process.espquant, ... }, { cwd = folder })
end

setup(function()
  folder = process.folder()
  local function good(...)
    local words = { ... }
    if words[1] ~= "optimize" and words[1] ~= "export" then
      for _, word in ipairs { "-d", DIGITS .. "calib-images-idx3-ubyte.gz", "--scale", "1/256" } do
        words[#words + 1] = word
      end
    end
    local r = run(table.unpack(words))
    assert.equal(0, r.status, r.stderr)
  end
  good("optimize", MODEL, "-o", "m.onnx")
  good("optimize", process.root .. "/examples/mnist.onnx", "-o", "other.onnx", "--passes", "fuse_bn_into_conv")
  good("calibrate", "m.onnx", "-o", "t.json")
  good("calibrate", "m.onnx", "-o", "t.pickle")
  good("calibrate", "m.onnx", "--runtime", "v3", "-o", "v3.json")
  good("calibrate", "m.onnx", "--runtime", "v3", "--observer", "minmax", "-o", "v3m.json")
  good("stat", "m.onnx", "--shard", "2/3", "-o", "p.stat")
  good("report", "m.onnx", "-c", "int8", "-o", "r.html")
  good("export", "m.onnx", "-t", "v3.json", "-o", "m.espdl")
end)

teardown(function() process.remove(folder) end)

describe("espquant verify", function()
  for _, artefact in ipairs { "t.json", "v3.json", "m.espdl", "p.stat", "r.html" } do
    it("knows the model of " .. artefact, function()
      local r = run("verify", artefact, "m.onnx")
      assert.same({ 0, "" }, { r.status, r.stderr })
      assert.matches("made from this model", r.stdout)
      r = run("verify", artefact, "other.onnx", "--json")
      local facts = cjson.decode(r.stdout)
      assert.same({ 1, false, "hashes" }, { r.status, facts.belongs, facts.by })
      assert.not_equal(facts.checks[1].expected, facts.checks[1].got)
    end)
  end

  it("knows what an optimized model was made from", function()
    assert.equal(0, run("verify", "m.onnx", MODEL).status)
    assert.equal(1, run("verify", "m.onnx", "other.onnx").status)
    local r = run("verify", MODEL, "m.onnx")
    assert.equal(1, r.status)
    assert.matches("does not say from which model", r.stdout)
  end)

  it("knows the table of an .espdl file", function()
    assert.equal(0, run("verify", "m.espdl", "m.onnx", "-t", "v3.json").status)
    local r = run("verify", "m.espdl", "m.onnx", "-t", "v3m.json")
    assert.equal(1, r.status)
    assert.matches("made from another table: its hash is %x+, expected %x+", r.stdout)
  end)

  it("goes by names where a pickle has no hash", function()
    local r = run("verify", "t.pickle", "m.onnx")
    assert.equal(0, r.status)
    assert.matches("a pickle keeps no hash; its names", r.stdout)
    r = run("verify", "t.pickle", process.root .. "/examples/import/mnist_tf_dense.onnx")
    assert.equal(1, r.status)
    assert.matches("the model has no tensor '", r.stdout)
  end)

  it("refuses what keeps no hash", function()
    process.write_file(folder .. "/c.cpp", "int x;")
    local r = run("verify", "c.cpp", "m.onnx")
    assert.equal(4, r.status)
    assert.matches("no hash is kept in files of this sort", r.stderr)
    assert.equal(3, run("verify", "none.json", "m.onnx").status)
  end)
end)
