-- Why GlobalAveragePool has an exponent of its own on the chip, by its range: signal-to-noise of the outputs against
-- float with that table, and with the original's, where it shares its input's; both run by the integer kernels. The
-- cases in which that is all that differs. docs/original.md quotes what this prints, and must do so rightly.
local core = require "espquant.core"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local net = require "spec.support.net"
require "espquant.model" -- g:run

local CASES = { "headpool_123", "mobilenet_bn_101", "mobilenet_bn_skew_152", "resnet_102", "resnet_laplace_151" }
local WORSE, BETTER = 0.2, 1.0 -- dB

-- In dB, of the only output.
local function snr(case, config, model, mode)
  local calib = espquant.Calibrator {
    bits = config[1], granularity = config[2], method = config[3], mode = mode, log = function() end,
  }
  local t = assert(calib:measure_table(model, case.tensor "calib.npy"))
  t.facts.mode = "chip"
  local eva = espquant.Evaluator { bits = config[1], granularity = config[2] }
  eva:generate_quantized_model(model, t)
  local images = case.tensor "input.npy"
  return net.snr(assert(model:run(images))[1], eva:evaluate_quantized_model(images, true)[1])
end

-- The figures of docs/original.md: case -> "20.1 -> 21.6   26.0 -> 26.0 ...".
local function quoted()
  local file <close> = assert(io.open "docs/original.md")
  local rows = {}
  for name, cells in file:read "a":gmatch "\n| ([%w_]+) | ([%d. %->|]+) |" do rows[name] = cells:gsub(" | ", "   ") end
  return rows
end

describe("a global average's own exponent", function()
  it("loses nowhere against its input's, and often gains #unit", function()
    local gains, rows = 0, quoted()
    for _, name in ipairs(CASES) do
      local case, columns = fixtures.open(name), {}
      local model = assert(core.onnx_decode(case.bytes "model.onnx"))
      for i, config in ipairs(fixtures.CONFIGURATIONS) do
        local shared, own = snr(case, config, model, "original"), snr(case, config, model, "chip")
        columns[i] = ("%.1f -> %.1f"):format(shared, own)
        assert.is_true(own >= shared - WORSE, ("%s %s: %s"):format(name, config.name, columns[i]))
        gains = gains + (own > shared + BETTER and 1 or 0)
      end
      print(("%s%-22s %s"):format(name == CASES[1] and "\n" or "", name, table.concat(columns, "   ")))
      assert.equal(rows[name], table.concat(columns, "   "), name .. " in docs/original.md")
    end
    assert.is_true(gains >= 6)
  end)
end)
