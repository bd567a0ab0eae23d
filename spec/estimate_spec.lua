-- espquant estimate: sizes are those of what is written, plans hold, the band holds what is published, limits decide.
local cjson = require "cjson"
local core = require "espquant.core"
local latency = require "espquant.latency"
local memory = require "espquant.memory"
local process = require "spec.support.process"

local folder

local function espquant(...)
  return process.run({ process.espquant, ... }, { cwd = folder })
end

local function facts(...)
  local r = espquant("estimate", ...)
  assert.same({ 0, "" }, { r.status, r.stderr })
  return cjson.decode(r.stdout)
end

local function size_of(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:seek "end", file
end

setup(function()
  folder = process.folder()
  assert.equal(0, espquant("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx").status)
  local data = { "-d", process.root .. "/examples/data/mnist/calib-images-idx3-ubyte.gz", "--scale", "1/256" }
  for name, options in pairs { ["v1.json"] = { "--granularity", "per-channel" }, ["v1w.json"] = { "--bits", "int16" },
    ["s3.json"] = { "--runtime", "v3" }, ["p4.json"] = { "--runtime", "v3", "--target", "esp32p4" } } do
    local words = table.move(options, 1, #options, #data + 1, table.move(data, 1, #data, 1, {}))
    assert.equal(0, espquant("calibrate", "m.onnx", "-o", name, table.unpack(words)).status)
  end
end)

teardown(function() process.remove(folder) end)

describe("estimate's flash", function()
  for _, name in ipairs { "s3", "p4" } do
    it("is the size of the .espdl file: " .. name, function()
      assert.equal(0, espquant("export", "m.onnx", "-t", name .. ".json", "-o", name .. ".espdl").status)
      local f = facts("m.onnx", "-t", name .. ".json", "--json")
      assert.equal(size_of(name .. ".espdl"), f.flash)
      assert.equal(f.flash, facts("m.onnx", "--runtime", "v3", "--target", "esp32" .. name, "--json").flash)
    end)
  end

  for _, name in ipairs { "v1", "v1w" } do
    it("is that of the arrays in the coefficients: " .. name, function()
      assert.equal(0, espquant("export", "m.onnx", "-t", name .. ".json", "--name", name).status)
      local file <close> = assert(io.open(folder .. "/" .. name .. ".cpp"))
      local text, bytes = file:read "a", 0
      for width, array in text:gmatch "int(%d+)_t [%w_]+_element%[%] = {(.-)};" do
        local _, count = array:gsub("%-?%d+", "")
        bytes = bytes + (count * (math.tointeger(tonumber(width)) // 8) + 15) // 16 * 16
      end
      for array in text:gmatch "_exponent%[%] = {(.-)};" do bytes = bytes + select(2, array:gsub("%-?%d+", "")) end
      assert.equal(bytes, facts("m.onnx", "-t", name .. ".json", "--json").flash)
    end)
  end
end)

describe("estimate's RAM", function()
  -- x -> a -> b -> y, with a skip from a to y: elements 100, 200, 50, 200.
  local function chain()
    local g = core.graph { name = "g", opset = 13 }
    local x = g:add_input("x", "float32", { "N", 4, 5, 5 })
    local function node(op, inputs, output) return g:add_node { op_type = op, inputs = inputs, outputs = { output } } end
    local a = node("Relu", { x }, "a"):output(1)
    local b = node("Sigmoid", { a }, "b"):output(1)
    local y = node("Add", { a, b }, "y"):output(1)
    g:add_output(y)
    assert(g:infer_shapes())
    return g
  end
  local SIZES = { x = 100, a = 200, b = 50, y = 200 }
  local function bytes(value) return SIZES[value.name] end

  it("is the plan's: no two tensors that live together overlap, large ones first", function()
    local plan = memory.plan(chain(), bytes)
    local offsets = {}
    for _, block in ipairs(plan.blocks) do offsets[block.name] = block.offset end
    assert.same({ a = 0, y = 208, x = 208, b = 416 }, offsets)
    assert.same({ 466, 450 }, { plan.size, plan.least })
  end)

  it("is split where internal RAM is small", function()
    local plan = memory.plan(chain(), bytes, 160)
    assert.same({ 100, 408 }, { plan.internal, plan.external })
    local places = {}
    for _, block in ipairs(plan.blocks) do places[block.name] = block.is_internal end
    assert.same({ x = true, b = true, a = false, y = false }, places)
  end)

  it("holds for every pair of tensors of a real model, and the printed plan is complete", function()
    local r = espquant("estimate", "m.onnx", "-t", "s3.json", "--plan")
    local rows = {}
    for name, bytes_text, offset, from, to in r.stdout:gmatch "\n(%S+) +([%d,]+) +([%d,]+) +(%d+) +(%d+)" do
      rows[#rows + 1] = { name = name, first = tonumber(from), last = tonumber(to),
        at = tonumber((offset:gsub(",", ""))), size = tonumber((bytes_text:gsub(",", ""))) }
    end
    assert.is_true(#rows >= 10)
    for i, a in ipairs(rows) do
      for k = i + 1, #rows do
        local b = rows[k]
        local together = a.first <= b.last and b.first <= a.last
        assert.is_true(not together or a.at + a.size <= b.at or b.at + b.size <= a.at, a.name .. " " .. b.name)
      end
    end
  end)
end)

describe("estimate's time", function()
  local function conv(group, kernel, channels, filters, size)
    local g = core.graph { name = "g", opset = 13 }
    local x = g:add_input("x", "float32", { 1, channels, size[1], size[2] })
    local w = g:add_constant("w", core.tensor({ filters, channels // group, kernel, kernel }, "float32"))
    local y = g:add_node { op_type = "Conv", inputs = { x, w }, outputs = { "y" }, attrs = { group = group } }:output(1)
    g:add_output(y)
    assert(g:infer_shapes())
    return g
  end

  it("holds every published operator, and the published model", function()
    for chip, operators in pairs(latency.OPERATORS) do
      local one = latency.band(conv(1, 1, 16, 32, { 20, 20 }), "v3", chip, 8)
      local depthwise = latency.band(conv(32, 3, 32, 32, { 100, 50 }), "v3", chip, 8)
      assert.is_true(one.low * 1e3 <= operators[1].us and operators[1].us <= one.high * 1e3 + 1e-6)
      assert.is_true(depthwise.low * 1e3 <= operators[5].us + 1e-6 and operators[5].us <= depthwise.high * 1e3)
      assert.is_true(latency.model_factor(chip) >= 1)
    end
    -- By hand: 280.06 M at 422 us / 204,800 and 20.72 M at 918 us / 198,450 are 672.9 ms; 1309.5 are published.
    assert.is_true(math.abs(latency.model_factor "esp32s3" - 1309.5 / 672.9) < 0.001)
    assert.equal(1, latency.model_factor "esp32p4")
  end)

  it("is refused where nothing is published", function()
    local g = conv(1, 1, 16, 32, { 20, 20 })
    for reason, words in pairs {
      ["for ESP-DL v1"] = { "v1", "esp32s3", 8 }, ["for int16"] = { "v3", "esp32s3", 16 },
      ["for the esp32c3"] = { "v3", "esp32c3", 8 },
    } do
      local band, why = latency.band(g, table.unpack(words))
      assert.is_nil(band)
      assert.matches(reason, why, 1, true)
    end
  end)
end)

describe("estimate's limits", function()
  it("decide the exit code, each named with what was found", function()
    local f = facts("m.onnx", "-t", "s3.json", "--json")
    local words = { "estimate", "m.onnx", "-t", "s3.json", "--max-flash", tostring(f.flash), "--max-ram",
      tostring(f.ram), "--max-ms", ("%.6f"):format(f.latency.high + 1e-5) }
    assert.same({ 0, "" }, { espquant(table.unpack(words)).status, espquant(table.unpack(words)).stderr })
    words[6], words[8], words[10] = tostring(f.flash - 1), "1K", "0.001"
    local r = espquant(table.unpack(words))
    assert.equal(1, r.status)
    assert.matches(("flash: %d bytes, at most %d bytes allowed"):format(f.flash, f.flash - 1), r.stderr, 1, true)
    assert.matches(("ram: %d bytes, at most 1024 bytes allowed"):format(f.ram), r.stderr, 1, true)
    assert.matches("ms: %d+.%d ms, at most 0.0 ms allowed", r.stderr)
    assert.equal(1, espquant("estimate", "m.onnx", "-t", "v1.json", "--max-ms", "1000").status)
    assert.equal(2, espquant("estimate", "m.onnx", "--max-ram", "many").status)
    assert.equal(2, espquant("estimate", "m.onnx", "--runtime", "v1", "--target", "esp32p4").status)
  end)
end)
