-- Calibration in parts gives the bytes of one run, however the parts are cut, ordered and merged; parts that do not belong
-- together are refused by name.
local codec = require "espquant.codec.stat"
local core = require "espquant.core"
local espquant = require "espquant"
local statistics = require "espquant.statistics"

local IMAGES = 200 -- four batches, the last one short
local CASES = {
  { bits = "int8", granularity = "per-channel", method = "minmax" },
  { bits = "int8", granularity = "per-tensor", method = "entropy" },
  { bits = "int8", granularity = "per-tensor", method = "entropy", input_exponent = "measured" },
  { bits = "int16", granularity = "per-tensor", method = "minmax", input_exponent = { input = -14 } },
  { bits = "int8", runtime = "v3", target = "esp32p4" },
  { bits = "int8", runtime = "v3", observer = "minmax" },
  { bits = "int8", runtime = "v3", observer = "percentile" },
  { bits = "int8", runtime = "v3", observer = "mse" },
  { bits = "int16", runtime = "v3", observer = "percentile" },
  { bits = "int8", runtime = "v3", layers = { Conv_0 = { observer = "percentile" }, Gemm_11 = { bits = "int16" } } },
}
local ROUNDS = { 1, 2, 2, 1, 2, 1, 1, 2, 1, 2 }

local model, images

setup(function()
  model = espquant.optimizer.optimize((assert(espquant.onnx.load "examples/mnist.onnx")))
  images = espquant.dataset("examples/data/mnist/calib-images-idx3-ubyte.gz", { scale = 1 / 256 }):tensor()
    :slice(1, IMAGES):reshape { IMAGES, 1, 28, 28 }
end)

local function calibrator(options)
  local own = { log = function() end, threads = 2 }
  for key, value in pairs(options) do own[key] = value end
  if own.layers then
    own.layers = {}
    local nodes = {}
    for node in model:nodes() do nodes[#nodes + 1] = node.name end
    own.layers[nodes[1]], own.layers[nodes[#nodes]] = { observer = "percentile" }, { bits = "int16" }
  end
  if type(own.input_exponent) == "table" then own.input_exponent = { [model.inputs[1].name] = -14 } end
  return espquant.Calibrator(own)
end

-- Statistics as they are after a file.
local function stored(stat, name)
  return (assert(codec.decode(codec.encode(stat), name or "a.stat")))
end

local function collect_all(calib, count, ranges)
  local list = {}
  for i = 1, count do list[i] = stored(calib:collect_statistics(model, images, i, count, ranges), i .. ".stat") end
  return list
end

local function shuffled(list, seed)
  local copy = table.move(list, 1, #list, 1, {})
  for i = #copy, 2, -1 do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    local k = seed % i + 1
    copy[i], copy[k] = copy[k], copy[i]
  end
  return copy
end

-- Merged pair by pair in a random tree.
local function merge_tree(list, seed)
  list = shuffled(list, seed)
  while #list > 1 do
    local a, b = table.remove(list), table.remove(list, 1)
    table.insert(list, (seed + #list) % (#list + 1) + 1, stored(assert(statistics.merge { a, b })))
  end
  return list[1]
end

local function all_data_table(calib)
  local path = os.tmpname() .. ".json" -- a file has the data's hash
  local t = calib:generate_quantization_table(model, images, path)
  os.remove(path)
  os.remove((path:gsub("%.json$", "")))
  return t:to_json()
end

local function table_of_parts(calib, count, seed)
  local ranges
  if calib:statistics_rounds(model) == 2 then ranges = merge_tree(collect_all(calib, count), seed + 1) end
  return calib:table_of_statistics(model, merge_tree(collect_all(calib, count, ranges), seed)):to_json()
end

describe("calibration in parts", function()
  for i, options in ipairs(CASES) do
    it(("gives the bytes of one run (case %d)"):format(i), function()
      local calib = calibrator(options)
      assert.equal(ROUNDS[i], calib:statistics_rounds(model))
      local whole = all_data_table(calib)
      for _, count in ipairs { 1, 2, 3, 6 } do -- of six, two are empty
        assert.equal(whole, table_of_parts(calib, count, i * 7 + count), count .. " parts")
      end
    end)
  end

  it("merges in any order and grouping to the same bytes, an empty part changing nothing", function()
    local calib = calibrator(CASES[7])
    local parts = collect_all(calib, 6)
    local bytes = codec.encode(assert(statistics.merge(parts)))
    for seed = 1, 12 do assert.equal(bytes, codec.encode(merge_tree(parts, seed)), "seed " .. seed) end
    for _, part in ipairs(parts) do
      local number, hashes = next(part.parts)
      if #hashes == 0 then
        local other = parts[number % 6 + 1]
        assert.equal(other.states.percentiles, assert(statistics.merge { part, other }).states.percentiles)
      end
    end
  end)

  it("sees each image once, in whole batches", function()
    local sizes, sum = {}, 0
    for i, part in ipairs(collect_all(calibrator(CASES[1]), 3)) do
      sizes[i] = #part.parts[i] // 32
      sum = sum + sizes[i]
    end
    assert.same({ { 64, 64, 72 }, IMAGES }, { sizes, sum })
  end)

  it("does not depend on the number of threads", function()
    local function bytes(threads)
      local options = { threads = threads }
      for key, value in pairs(CASES[7]) do options[key] = value end
      return codec.encode(calibrator(options):collect_statistics(model, images, 2, 3))
    end
    assert.equal(bytes(1), bytes(2))
  end)
end)

describe("parts that do not belong together", function()
  local function refusal(...)
    local merged, message, code, problems = statistics.merge { ... }
    assert.is_nil(merged)
    assert.equal("format", code)
    return message, table.concat(problems, "\n")
  end

  it("are refused by name, all at once", function()
    local calib = calibrator(CASES[1])
    local parts = collect_all(calib, 2)
    local again = stored(calib:collect_statistics(model, images, 1, 2), "again.stat")
    local third = stored(calib:collect_statistics(model, images, 3, 3), "third.stat")
    local method = stored(calibrator(CASES[6]):collect_statistics(model, images, 2, 2), "v3.stat")
    local message, problems = refusal(parts[1], parts[2], again, third, method)
    assert.equal("statistics that cannot be merged", message)
    assert.matches("again.stat: shard 1 of 2 comes twice, it is also in 1.stat", problems, 1, true)
    assert.matches("third.stat: another number of shards (shards: 3, expected 2)", problems, 1, true)
    assert.matches('v3.stat: other options %(options: .*"runtime": "v3".*, expected .*"runtime": "v1"', problems)
  end)

  it("of other models, data or rounds are refused", function()
    local calib = calibrator(CASES[2])
    local part = collect_all(calib, 1)[1]
    local function changed(field, value)
      local copy = stored(part, "other.stat")
      copy[field], copy.parts = value, { [1] = "" }
      return copy
    end
    for field, value in pairs { model = "00", images = 7, isa = "avx2?", tool = "espquant 0.0", complete = true } do
      local _, problems = refusal(part, changed(field, value))
      assert.matches(("other.stat: .* %%(%s: %s, expected "):format(field, tostring(value):gsub("%?", "%%?"), nil),
        problems)
    end
  end)

  it("are named where they are missing, and where ranges are no table yet", function()
    local calib = calibrator(CASES[2])
    local parts = collect_all(calib, 3)
    local function raised(f) return tostring(select(2, pcall(f))) end
    assert.matches("statistics are not of all data\n  %- shard 1 of 3 is missing\n  %- shard 3 of 3 is missing",
      raised(function() calib:table_of_statistics(model, parts[2]) end))
    local ranges = assert(statistics.merge(parts))
    assert.matches("the first of two rounds", raised(function() calib:table_of_statistics(model, ranges) end))
    assert.matches("the ranges are not of this calibration\n  %- shard 1 is missing", raised(function()
      calib:collect_statistics(model, images, 1, 3, parts[3])
    end))
    assert.matches("other options %(options", raised(function()
      calibrator(CASES[3]):collect_statistics(model, images, 1, 3, ranges)
    end))
  end)

  it("of other data in the second round are found out", function()
    local calib = calibrator(CASES[2])
    local ranges = assert(statistics.merge(collect_all(calib, 1)))
    local other = assert(core.concat({ images:slice(101, 200), images:slice(1, 100) }, 0))
    local part = calib:collect_statistics(model, other, 1, 1, ranges)
    assert.error_matches(function() calib:table_of_statistics(model, part) end, "not those of the first")
  end)

  it("need a known number of images", function()
    local done = false
    assert.error_matches(function()
      calibrator(CASES[1]):collect_statistics(model, function()
        if done then return nil end
        done = true
        return images
      end, 1, 2)
    end, "unknown number of images cannot be split")
  end)
end)
