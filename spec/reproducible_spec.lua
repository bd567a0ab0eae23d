-- The same inputs give the same bytes; where the instruction set could decide an exponent, the tensor is named.
local boundary = require "espquant.calibration.boundary"
local cjson = require "cjson"
local core = require "espquant.core"
local espquant = require "espquant"
local process = require "spec.support.process"

local DATA = { "-d", process.root .. "/examples/data/mnist/calib-images-idx3-ubyte.gz", "--scale", "1/256" }
local folder

local function run(...)
  local r = process.run({ process.espquant, ... }, { cwd = folder })
  assert.equal(0, r.status, r.stderr)
  return r.stdout
end

local function calibrate(isa, name, options)
  local words = { "--isa", isa, "calibrate", "m.onnx", "-o", name, "--json" }
  table.move(DATA, 1, #DATA, #words + 1, words)
  return cjson.decode(run(table.unpack(table.move(options, 1, #options, #words + 1, words))))
end

local function read(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:read "a"
end

setup(function()
  folder = process.folder()
  run("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx")
end)

teardown(function() process.remove(folder) end)

describe("two runs", function()
  for _, options in ipairs { { "--method", "entropy" }, { "--bits", "int16" }, { "--runtime", "v3" },
    { "--runtime", "v3", "--observer", "percentile" } } do
    it("give the same bytes: " .. table.concat(options, " "), function()
      calibrate("avx2", "a.json", options)
      calibrate("avx2", "b.json", table.move({ "-j", "1" }, 1, 2, #options + 1, { table.unpack(options) }))
      assert.equal(read "a.json", read "b.json")
    end)

    it("on two instruction sets give the same exponents but for tensors that are named: " .. table.concat(options, " "),
      function()
        local wide = process.run({ process.espquant, "--isa", "avx512", "-e", "require 'espquant.core'.isa()" }, {})
        if wide.status ~= 0 then return pending "this machine has no AVX-512" end
        local named = {}
        for _, isa in ipairs { "avx2", "avx512" } do
          for _, name in ipairs(calibrate(isa, isa .. ".json", options).boundary) do named[name] = true end
        end
        local a, b = espquant.qtable.load(folder .. "/avx2.json"), espquant.qtable.load(folder .. "/avx512.json")
        assert.same({ "avx2", "avx512" }, { a.facts.isa, b.facts.isa })
        assert.equal(#a.entries, #b.entries)
        for i, entry in ipairs(a.entries) do
          if not next(named) then assert.same(entry.exponents, b.entries[i].exponents, entry.name) end
        end
      end)
  end

  it("of optimize give the same bytes", function()
    local bytes = read "m.onnx"
    for _ = 1, 4 do -- Lua's order of keys changes from process to process
      run("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx")
      assert.equal(bytes, read "m.onnx")
    end
  end)

  it("of export from one table give the same bytes, whatever the instruction set and folder", function()
    calibrate("avx2", "t.json", { "--runtime", "v3" })
    local files = {}
    for i, isa in ipairs { "sse41", "avx2" } do
      run("--isa", isa, "export", "m.onnx", "-t", "t.json", "-o", i .. ".espdl")
      files[i] = read(i .. ".espdl")
    end
    assert.equal(files[1], files[2])
    assert.is_nil(files[1]:find(folder, 1, true))
  end)
end)

describe("a tensor at a boundary", function()
  -- y = x, and the data reach just so far.
  local function table_of(reach, options)
    local g = core.graph { name = "g", opset = 13 }
    local x = g:add_input("x", "float32", { "N", 4, 2, 2 })
    local w = core.tensor({ 4, 1, 1, 1 }, "float32") + 1
    local y = g:add_node { op_type = "Conv", name = "c", inputs = { x, g:add_constant("w", w) }, outputs = { "y" },
      attrs = { group = 4, kernel_shape = { 1, 1 } } }:output(1)
    g:add_output(y)
    assert(g:infer_shapes())
    local data = core.tensor_from({ reach, -0.1, 0.2, 0.3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "float32", { 1, 4, 2, 2 })
    options.log = function() end
    return assert(espquant.Calibrator(options):measure_table(g, data))
  end

  -- Where the exponent changes, found by halving.
  local function border(exponent_of)
    local low, high = 0.6, 1.2
    for _ = 1, 60 do
      local middle = (low + high) / 2
      if exponent_of(middle) == exponent_of(0.6) then low = middle else high = middle end
    end
    return high
  end

  it("is named, and others are not", function()
    for _, case in ipairs {
      { { bits = "int8", granularity = "per-tensor", method = "minmax" }, function(x) return core.exponent_of_absmax(x, 8) end },
      { { bits = "int8", runtime = "v3", observer = "minmax" }, function(x) return core.v3_exponent_of_absmax(x, 8) end },
    } do
      local at = border(case[2])
      local function near(reach)
        for _, name in ipairs(table_of(reach, case[1]).boundary) do
          if name == "y" then return true end
        end
        return false
      end
      assert.same({ true, true, false, false }, { near(at * (1 + 1e-6)), near(at * (1 - 1e-6)), near(at * 1.001),
        near(at * 0.999) })
    end
  end)

  it("is none for ranges that are no numbers", function()
    for _, x in ipairs { 0, 0 / 0, math.huge } do
      assert.is_false(boundary.is_near(x, function() error "asked" end))
    end
  end)
end)
