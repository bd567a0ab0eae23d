-- espquant stat, merge and evaluate --shard: the table and the figures of one run, from parts; every refusal by name.
local cjson = require "cjson"
local process = require "spec.support.process"

local DIGITS = process.root .. "/examples/data/mnist/"
local SCALE = { "--scale", "1/256" }
local folder

local function espquant(...)
  local argv = { process.espquant }
  for _, word in ipairs { ... } do
    if type(word) == "table" then table.move(word, 1, #word, #argv + 1, argv) else argv[#argv + 1] = word end
  end
  return process.run(argv, { cwd = folder })
end

local function good(...)
  local r = espquant(...)
  assert.same({ 0, "" }, { r.status, r.stderr })
  return r.stdout
end

local function read(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:read "a"
end

local DATA = { "-d", DIGITS .. "calib-images-idx3-ubyte.gz", SCALE[1], SCALE[2] }
local TEST = { "-d", DIGITS .. "test-images-idx3-ubyte.gz", SCALE[1], SCALE[2],
  "-l", DIGITS .. "test-labels-idx1-ubyte.gz" }

setup(function()
  folder = process.folder()
  good("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx")
  good("calibrate", "m.onnx", DATA, "-o", "t.json")
end)

teardown(function() process.remove(folder) end)

describe("espquant stat and merge", function()
  for _, options in ipairs { { "--method", "entropy" }, { "--runtime", "v3", "--observer", "percentile" } } do
    it(("make the table of calibrate %s"):format(table.concat(options, " ")), function()
      good("calibrate", "m.onnx", DATA, options, "-o", "whole.json")
      local rounds, ranges = tonumber(good("stat", "m.onnx", DATA, options, "--rounds")), {}
      assert.equal(options[2] == "entropy" and 2 or 1, rounds)
      for round = 1, rounds do
        for i = 1, 2 do
          local out = good("stat", "m.onnx", DATA, options, ranges, "--shard", i .. "/2", "-o", i .. ".stat")
          assert.matches(("^%d.stat: shard %d of 2, %d of 500 images"):format(i, i, i == 1 and 256 or 244), out)
        end
        if round < rounds then
          good("merge", "2.stat", "1.stat", "-o", "ranges.stat")
          ranges = { "--ranges", "ranges.stat" }
        end
      end
      good("merge", "2.stat", "--partial", "-o", "partial.stat")
      good("merge", "partial.stat", "1.stat", "-o", "merged.json")
      assert.equal(read "whole.json", read "merged.json")
    end)
  end

  it("refuse what does not belong together, and leave the output alone", function()
    process.write_file(folder .. "/old.json", "old")
    good("stat", "m.onnx", DATA, "--shard", "1/2", "-o", "a.stat")
    good("stat", "m.onnx", DATA, "--shard", "2/2", "--bits", "int16", "-o", "b.stat")
    process.write_file(folder .. "/bad.stat", "ESPQSTAT" .. ("\1"):rep(100))
    for message, words in pairs {
      ["shard 2 of 2 is missing"] = { "a.stat" },
      ["shard 1 of 2 comes twice"] = { "a.stat", "./a.stat" },
      ["b.stat: other options"] = { "a.stat", "b.stat" },
      ["bad.stat: its format is version 16843009"] = { "bad.stat", "a.stat" },
      ["none.stat"] = { "none.stat", "a.stat" },
    } do
      local r = espquant("merge", words, "-o", "old.json")
      assert.is_true(r.status == 3 or r.status == 4, message)
      assert.matches(message, r.stderr, 1, true)
      assert.equal("old", read "old.json")
    end
  end)

  it("say what the options need", function()
    for message, words in pairs {
      ["--shard I/N"] = { "stat", "m.onnx", DATA, "-o", "x.stat" },
      ["'9/8' is no shard"] = { "stat", "m.onnx", DATA, "--shard", "9/8", "-o", "x.stat" },
      ["--output PART.stat"] = { "stat", "m.onnx", DATA, "--shard", "1/8" },
      ["--output TABLE"] = { "merge", "a.stat" },
      ["--output's name ends in .stat"] = { "merge", "a.stat", "--partial", "-o", "x.json" },
    } do
      local r = espquant(table.unpack(words))
      assert.equal(2, r.status)
      assert.matches(message, r.stderr, 1, true)
    end
  end)
end)

describe("espquant evaluate --shard", function()
  it("gives, merged, the figures of one run", function()
    local whole = cjson.decode(good("evaluate", "m.onnx", "-t", "t.json", TEST, "--json"))
    for i = 1, 3 do good("evaluate", "m.onnx", "-t", "t.json", TEST, "--shard", i .. "/3", "-o", "e" .. i .. ".stat") end
    local merged = cjson.decode(good("merge", "e3.stat", "e1.stat", "e2.stat", "--json"))
    for _, facts in ipairs { whole, merged } do
      assert.is_true(facts.images_per_second > 0 and facts.float_images_per_second > 0)
      facts.images_per_second, facts.float_images_per_second = nil, nil
    end
    assert.same(whole, merged)
    assert.matches("int8 per%-tensor +99.30 %% +99.90 %%", good("merge", "e1.stat", "e2.stat", "e3.stat"))
  end)

  it("leaves thresholds to merge", function()
    local r = espquant("merge", "e1.stat", "e2.stat", "e3.stat", "--min-accuracy", "99.9")
    assert.equal(1, r.status)
    assert.matches("99.3 %% reached", r.stderr)
    assert.equal(2, espquant("evaluate", "m.onnx", "-t", "t.json", TEST, "--shard", "1/2", "-o", "x.stat",
      "--min-accuracy", "9").status)
    assert.matches("statistics of a calibration, expected of a evaluation", espquant("merge", "e1.stat", "a.stat").stderr)
  end)
end)
