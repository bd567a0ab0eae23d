-- Bias correction: means of the integer model come nearer to the float model's.

local bias_correction = require "espquant.bias_correction"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local gain = require "espquant.gain"
local net = require "spec.support.net"

local MODEL = [[
  input x N,3,8,8
  const w1 8,3,3,3
  const b1 8
  Conv x w1 b1 -> c1
  Relu c1 -> r1
  const w2 8,8,3,3
  Conv r1 w2 -> c2
  Relu c2 -> r2
  GlobalAveragePool r2 -> p
  Flatten p -> f
  const w3 8,4
  const b3 4
  Gemm f w3 b3 -> y
  output y
]]

local CASES = {
  { "v1, per tensor", { bits = "int8", granularity = "per-tensor" } },
  { "v1, per channel", { bits = "int8", granularity = "per-channel" }, 3 },
  { "v3 on the esp32s3", { bits = "int8", runtime = "v3", target = "esp32s3" } },
}

describe("bias correction", function()
  local model = net.model(MODEL)
  local data = assert(dataset.of(net.tensor({ 32, 3, 8, 8 }, 5, 0.9), model))

  for _, case in ipairs(CASES) do
    it("does not lose, and gains where rounding down shifts the means: " .. case[1], function()
      local corrected, rows = bias_correction.run(model, data, case[2])
      local before, after = gain.snr(model, model, data, case[2]), gain.snr(model, corrected, data, case[2])
      assert.is_true(after - before >= (case[3] or -1), ("%.1f dB, before %.1f dB"):format(after, before))
      assert.same({ "Conv_c1", "Conv_c2", "Gemm_y" }, { rows[1].layer, rows[2].layer, rows[3].layer })
      assert.is_true(corrected:verify())
    end)
  end

  it("leaves the model as it was, and gives a bias where there was none", function()
    local bytes = core.onnx_encode(model)
    local corrected = bias_correction.run(model, data, { bits = "int8" })
    assert.equal(bytes, core.onnx_encode(model))
    assert.same({ 8 }, corrected:node("Conv_c2"):input(3).shape)
  end)

  it("adds next to nothing in 16 bits", function()
    local _, rows = bias_correction.run(model, data, { bits = "int16" })
    for _, row in ipairs(rows) do assert.is_true(row.shift < 0.01, row.shift) end
  end)
end)
