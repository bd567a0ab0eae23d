--- The per-layer table, against numbers worked out by hand.

local core = require "espquant.core"
local espquant = require "espquant"
local net = require "spec.support.net"

-- y = x, then r = max(y, 0), by an identity matrix: in int8 every y is floor(x / 2^e) * 2^e, clipped.
local MODEL = [[
  input x N,2
  const w 2,2
  Gemm x w -> y
  Relu y -> r
  output r
]]
local X = core.tensor_from({ 0.5, 0.875, -0.25, 0.125 }, "float32", { 2, 2 })

local function model()
  return net.model(MODEL, { w = core.tensor_from({ 1, 0, 0, 1 }, "float32", { 2, 2 }) })
end

-- The report with the exponent e for y and r.
local function report(e, options, data)
  local o = { bits = "int8", mode = "chip" }
  for key, value in pairs(options or {}) do o[key] = value end
  local g = model()
  local t = assert(espquant.Calibrator { bits = o.bits, mode = o.mode, log = function() end }:measure_table(g, X))
  for _, name in ipairs { "y", "r" } do t:set(name, "activation").exponents = { e } end
  local eva = espquant.Evaluator(o)
  eva:generate_quantized_model(g, t)
  return eva:layer_report(data or X), eva
end

local function near(expected, got) assert.is_true(math.abs(expected - got) < 1e-5, got) end

describe("a layer report", function()
  for _, mode in ipairs { "chip", "original" } do
    it("has noise and signal as worked out by hand, mode " .. mode, function()
      -- in quarters: 0.5 0.75 -0.25 0; errors 0 0.125 0 0.125: noise 2/64, signal 70/64, of r 66/64
      local rows = report(-2, { mode = mode })
      assert.equal(2, #rows)
      assert.same({ "Gemm_y", "Gemm", "y", -2 }, { rows[1].layer, rows[1].op, rows[1].output, rows[1].exponent })
      assert.same({ "Relu_r", "Relu", "r", -2 }, { rows[2].layer, rows[2].op, rows[2].output, rows[2].exponent })
      near(10 * math.log(35, 10), rows[1].snr)
      near(10 * math.log(33, 10), rows[2].snr)
      assert.same({ 0.125, 0.125, 0, 0 },
        { rows[1].max_error, rows[2].max_error, rows[1].saturated, rows[2].saturated })
    end)

    it("counts what is saturated, mode " .. mode, function()
      local rows = report(-8, { mode = mode }) -- 0.5 and 0.875 become 127/256
      assert.same({ 0.5, 0.875 - 127 / 256 }, { rows[1].saturated, rows[1].max_error })
      rows = report(-8, { mode = mode }, core.tensor_from({ 0.25, -0.75 }, "float32", { 1, 2 })) -- -128
      assert.same({ 0.5, 0.25, 0 }, { rows[1].saturated, rows[1].max_error, rows[2].saturated })
    end)
  end

  it("has no noise where nothing is lost", function()
    local rows = report(-3)
    assert.same({ math.huge, 0 }, { rows[1].snr, rows[1].max_error })
  end)

  it("does not count a fraction beside the last number", function() -- as averages of original mode have
    local g = net.model("input x N,1,1,2\n const w 1,1,1,1\n Conv x w -> c\n GlobalAveragePool c -> y\n output y",
      { w = core.tensor({ 1, 1, 1, 1 }):fill(1) })
    local t = assert(espquant.Calibrator { bits = "int8", mode = "original" }:measure_table(g,
      core.tensor({ 1, 1, 1, 2 }):fill(0.5)))
    t:set("c", "activation").exponents, t:set("y", "activation").exponents = { -7 }, { -7 }
    local eva = espquant.Evaluator { bits = "int8", mode = "original" }
    eva:generate_quantized_model(g, t)
    local rows = eva:layer_report(core.tensor_from({ 127 / 128, 126 / 128 }, "float32", { 1, 1, 1, 2 }))
    assert.same({ "c", 0.5, "y", 0 }, { rows[1].output, rows[1].saturated, rows[2].output, rows[2].saturated })
  end)

  it("adds up over any number of batches, the same with any number of threads", function()
    local many = net.tensor({ 1000, 2 }, 3, 0.99)
    local i = 0
    local function singly()
      i = i + 1
      return i <= 1000 and many:slice(i, i) or nil
    end
    local whole = report(-5, nil, many)
    assert.same(whole, (report(-5, { threads = 1 }, many)))
    assert.same(whole, (report(-5, { threads = 3 }, singly)))
    assert.is_true(whole[1].snr > 20 and whole[1].snr < 40)
  end)

  it("prints as a table", function()
    local text = tostring(report(-2))
    assert.equal("layer   op    output  exponent  SNR dB  saturated  max error\n"
      .. "Gemm_y  Gemm  y             -2    15.4     0.00 %      0.125\n"
      .. "Relu_r  Relu  r             -2    15.2     0.00 %      0.125", text)
  end)

  it("wants a model, and data that fits", function()
    local eva = espquant.Evaluator "int8"
    assert.error_matches(function() eva:layer_report(X) end, "call generate_quantized_model before layer_report")
    eva = select(2, report(-2))
    local ok, err = pcall(eva.layer_report, eva, core.tensor { 2, 3 })
    assert.is_false(ok)
    assert.equal("format", err.code)
  end)
end)
