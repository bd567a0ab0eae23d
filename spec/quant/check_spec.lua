-- Whether a model can be quantized: every reason at once, with node, operator, shapes, cause and remedy.

local core = require "espquant.core"
local quant = require "espquant.quant"
local net = require "spec.support.net"

describe("mode original", function()
  local STOPS = {
    { "a Concat with a constant", "list index out of range", [[
      input x 1,2
      const k 1,2
      const w 2,2
      Gemm x w -> y
      Concat y k -> z axis=1
      output z
    ]], "Concat 'Concat_z'.*its input 'k' is a constant" },
    { "two inputs", "Model requires 2 inputs. Input Feed contains 1", [[
      input x N,2
      input y N,2
      Add x y -> z
      output z
    ]] },
    { "an alpha of 0", "float division by zero", [[
      input x N,2
      const w 2,2
      Gemm x w -> y
      LeakyRelu y -> z alpha=0.0
      output z
    ]], "LeakyRelu 'LeakyRelu_z'.*its alpha is 0" },
    { "a computed weight", "1 node of the model cannot be quantized", [[
      input x N,2
      const w 2,2
      Gemm w w -> v
      Gemm x v -> z
      output z
    ]], "Gemm 'Gemm_z'.*its parameter 'v' is computed at run time" },
  }

  for _, case in ipairs(STOPS) do
    it("refuses " .. case[1] .. " by name, where the original raises", function()
      local ok, message, code, problems = quant.check(net.model(case[3]), "original", "table")
      assert.same({ nil, "unsupported" }, { ok, code })
      assert.matches(case[2], message, 1, true)
      if case[4] then assert.matches(case[4], problems[1].message) end
    end)
  end

  it("has one line for each type, and a problem for each node", function()
    local g = net.model [[
      input x N,2
      Sigmoid x -> a
      Tanh a -> b
      Sigmoid b -> c
      output c
    ]]
    local _, message, _, problems = quant.check(g, "original", "evaluator")
    assert.equal("Sigmoid is not supported on esp-dl yet\nTanh is not supported on esp-dl yet\n"
      .. "current model is not supported by esp-dl", message)
    assert.equal(3, #problems)
  end)
end)

describe("mode chip", function()
  it("gives node, operator, shapes, cause and remedy of every node at once", function()
    local bad = core.tensor_from({ 1, 0 / 0, 2, 3 }, "float32", { 2, 2 })
    local endless = core.tensor_from({ 1 / 0, 1 }, "float32")
    local g = net.model([[
      input x N,2
      const w 2,2
      const a 2
      Gemm x w -> y
      Sigmoid y -> s
      Add s a -> t
      LeakyRelu t -> l alpha=-0.5
      Softmax l -> z
      output z
    ]], { w = bad, a = endless })
    local ok, message, code, problems = quant.check(g, "chip", "calibrator")
    assert.same({ nil, "5 nodes of the model cannot be quantized", "unsupported" }, { ok, message, code })
    local ops = {}
    for i, p in ipairs(problems) do
      ops[i] = p.op
      assert.equal(p.op .. "_" .. p.output, p.node)
      assert.is_string(p.cause)
      assert.is_string(p.remedy, p.message)
      for _, part in ipairs { p.op, p.node, p.shapes, p.cause, p.remedy } do
        assert.matches(part, p.message, 1, true)
      end
    end
    assert.same({ "Gemm", "Sigmoid", "Add", "LeakyRelu", "Softmax" }, ops)
    assert.matches("'w' holds %-?nan", problems[1].cause)
    assert.matches("'a' holds NaN or infinity", problems[3].cause)
    assert.equal("Nx2 -> Nx2", problems[2].shapes)
  end)

  it("refuses an input that is not float32", function()
    local g = net.model "input x N,2 uint8\n Flatten x -> y\n output y"
    local _, _, _, problems = quant.check(g, "chip", "calibrator")
    assert.matches("input 'x' has type uint8", problems[1].cause, 1, true)
  end)

  it("finds nothing wrong with a good model, in each role", function()
    local g = net.model "input x N,2\n const w 2,2\n Gemm x w -> y\n Relu y -> z\n output z"
    for _, mode in ipairs { "chip", "original" } do
      for _, role in ipairs { "calibrator", "evaluator", "table" } do assert.is_true(quant.check(g, mode, role)) end
    end
  end)
end)
