-- espquant diff: what moved, what came and went, and which exit code that gives, for each kind of file.
local cjson = require "cjson"
local difference = require "espquant.difference"
local espquant = require "espquant"
local process = require "spec.support.process"

local folder
local DIGITS = process.root .. "/examples/data/mnist/"

local function run(...)
  return process.run({ process.espquant, ... }, { cwd = folder })
end

local function good(...)
  local r = run(...)
  assert.same({ 0, "" }, { r.status, r.stderr })
  return r.stdout
end

local function diff(...)
  local r = run("diff", "--json", ...)
  return cjson.decode(r.stdout), r.status, r.stderr
end

setup(function()
  folder = process.folder()
  local data = { "-d", DIGITS .. "calib-images-idx3-ubyte.gz", "--scale", "1/256" }
  good("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx")
  good("calibrate", "m.onnx", "-o", "a.json", table.unpack(data))
  good("calibrate", "m.onnx", "--method", "entropy", "-o", "b.json", table.unpack(data))
  for name, observer in pairs { ["kl"] = "kl", ["mm"] = "minmax" } do
    good("calibrate", "m.onnx", "--runtime", "v3", "--observer", observer, "-o", name .. ".json", table.unpack(data))
    good("export", "m.onnx", "-t", name .. ".json", "-o", name .. ".espdl")
  end
  local labels = { "-l", DIGITS .. "calib-labels-idx1-ubyte.gz", "--json" }
  for name, config in pairs { r1 = "int8", r2 = "int16" } do
    local words = { "report", "m.onnx", "-c", config, table.unpack(data) }
    local text = good(table.unpack(table.move(labels, 1, #labels, #words + 1, words)))
    -- The same name for both, as two versions of a model have.
    process.write_file(folder .. "/" .. name .. ".json", (text:gsub("v1 int16", "v1 int8")))
  end
  local graph = assert(espquant.onnx.load(folder .. "/m.onnx"))
  for node in graph:nodes() do
    if node.op_type == "Conv" then
      node:input(2):set_constant(node:input(2).constant * 2)
      break
    end
  end
  assert(espquant.onnx.save(graph, folder .. "/n.onnx"))
end)

teardown(function() process.remove(folder) end)

describe("espquant diff", function()
  for _, name in ipairs { "a.json", "m.onnx", "kl.espdl", "r1.json" } do
    it("finds nothing between a file and itself: " .. name, function()
      local d, status = diff(name, name)
      assert.same({ 0, true, 0, 0 }, { status, d.equal, #d.changed, #d.numbers })
      assert.equal("no difference\n", good("diff", name, name))
    end)
  end

  it("tells which exponents of a table moved, and by how much", function()
    local d, status = diff("a.json", "b.json")
    assert.equal(1, status)
    local a, b, moved = espquant.qtable.load(folder .. "/a.json"), espquant.qtable.load(folder .. "/b.json"), {}
    for _, entry in ipairs(a.entries) do
      local step = math.abs(entry.exponents[1] - b:get(entry.name).exponents[1])
      if step > 0 then moved[entry.name] = step end
    end
    local got = {}
    for _, change in ipairs(d.changed) do got[change.name] = change.moved end
    assert.same(moved, got)
    assert.same({ { name = "method", from = "minmax", to = "entropy" } }, d.facts)
    assert.matches("relu1_out: activation 2^%-3 %-> activation 2^%-5", run("diff", "a.json", "b.json").stdout)
  end)

  it("tells which layers of a model changed", function()
    local d = diff("m.onnx", "n.onnx")
    assert.equal(1, #d.changed)
    assert.matches("^float32 16x1x3x3 %x+$", d.changed[1].from)
    assert.not_equal(d.changed[1].from, d.changed[1].to)
    local o = diff(process.root .. "/examples/mnist.onnx", "m.onnx")
    assert.is_true(#o.removed > 0)
  end)

  it("tells what moved in .espdl files", function()
    local d, status = diff("kl.espdl", "mm.espdl")
    assert.equal(1, status)
    assert.is_true(#d.changed > 0 and d.moved >= 1)
  end)

  it("tells how figures of reports changed", function()
    local d = diff("r1.json", "r2.json")
    local names = {}
    for _, number in ipairs(d.numbers) do names[number.name] = true end
    assert.is_true(names["v1 int8 snr"])
    assert.is_true(d.moved >= 6) -- exponents of int16 are finer
  end)

  it("decides by limits where there are some", function()
    local moved = diff("a.json", "b.json").moved
    assert.equal(0, run("diff", "a.json", "b.json", "--max-moved", tostring(moved)).status)
    local r = run("diff", "a.json", "b.json", "--max-moved", tostring(moved - 1), "--max-changed", "3")
    assert.equal(1, r.status)
    assert.matches(("an exponent moved by %d, at most %d allowed (--max-moved)"):format(moved, moved - 1), r.stderr, 1, true)
    assert.matches("14 were added, removed or changed, at most 3 allowed", r.stderr, 1, true)
    assert.equal(0, run("diff", "m.onnx", "n.onnx", "--max-bytes", "1").status)
    r = run("diff", "r2.json", "r1.json", "--max-accuracy-drop", "50")
    assert.equal(0, r.status)
  end)

  it("measures a fall of accuracy in points", function()
    local text = good("diff", "r1.json", "r1.json") and io.open(folder .. "/r1.json"):read "a"
    process.write_file(folder .. "/worse.json", (text:gsub('("accuracy": )[%d.]+', "%10.5")))
    local r = run("diff", "r1.json", "worse.json", "--max-accuracy-drop", "10")
    assert.equal(1, r.status)
    assert.matches("an accuracy fell by 4%d[%d.]* points, at most 10 allowed", r.stderr)
  end)

  it("takes an accuracy that is gone for a fall, and has none of tables", function()
    local file <close> = assert(io.open(folder .. "/r1.json"))
    process.write_file(folder .. "/gone.json", (file:read "a":gsub("v1 int8", "v1 other")))
    local r = run("diff", "r1.json", "gone.json", "--max-accuracy-drop", "10")
    assert.equal(1, r.status)
    assert.matches("an accuracy fell by inf points, at most 10 allowed", r.stderr, 1, true)
    assert.equal(2, run("diff", "a.json", "b.json", "--max-accuracy-drop", "10").status)
  end)

  it("refuses files of two kinds, and what is none", function()
    local r = run("diff", "a.json", "m.onnx")
    assert.equal(3, r.status)
    assert.matches("a table and a model cannot be compared", r.stderr)
    assert.equal(3, run("diff", "a.json", "none.json").status)
    process.write_file(folder .. "/odd.json", '{"configs": [7], "nodes": []}')
    assert.matches("looks like a report", run("diff", "odd.json", "a.json").stderr)
    assert.equal(2, run("diff", "a.json", "b.json", "--max-moved", "-1").status)
  end)

  it("knows exponents of zero, infinity and NaN", function()
    local function one(e) return { kind = "table", facts = {}, numbers = {}, items = { { name = "t", text = "x",
      exponents = { e } } } } end
    assert.is_true(difference.of(one(-math.huge), one(-math.huge)).equal)
    assert.is_true(difference.of(one(0 / 0), one(0 / 0)).equal)
    assert.equal(math.huge, difference.of(one(-math.huge), one(-3)).moved)
  end)
end)
