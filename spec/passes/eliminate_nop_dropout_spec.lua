local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x -> Relu -> Dropout(ratio, training) -> Sigmoid; training: a tensor or nil
local function with_training(training)
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 3 }) })
    local inputs = { x, b.constant("ratio", core.tensor_from({ 0.5 }, "float32", {})) }
    if training then inputs[3] = b.constant("training", training) end
    b.output(b.node("Sigmoid", { b.node("Dropout", inputs) }, { out = "y" }))
  end
end

local function flag(x, shape) return core.tensor_from({ x }, "bool", shape or {}) end

harness.describe("eliminate_nop_dropout", {
  { "drops it with its ratio", build = with_training(nil), changes = 1, exact = true, ops = "Relu Sigmoid" },
  { "drops it where training is off", build = with_training(flag(0)), changes = 1, exact = true, ops = "Relu Sigmoid" },
  {
    "drops it when nobody reads its mask",
    build = function(b)
      local x = b.node("Relu", { b.input("x", { 2, 3 }) })
      b.output(b.node("Dropout", { x }, { outputs = { "y", "mask" } }))
    end,
    changes = 1, ops = "Relu", run = false,
  },
  {
    "keeps it when the mask is read",
    build = function(b)
      local node = b.make("Dropout", { b.input("x", { 2, 3 }) }, { outputs = { "y", "mask" } })
      b.output(b.node("Relu", { node }))
      b.output(node:output(2))
    end,
    changes = 0, run = false,
  },
  { "keeps it in training", build = with_training(flag(1)), changes = 0, run = false },
  { "keeps it where training is an empty list", changes = 0, run = false,
    build = with_training(core.tensor({ 0 }, "bool")) },
  {
    "keeps it where training is computed",
    build = function(b)
      local x = b.input("x", { 2, 3 })
      local training = b.node("Identity", { b.input("training", {}, "bool") })
      b.output(b.node("Relu", { b.node("Dropout", { x, false, training }) }))
    end,
    changes = 0, run = false,
  },
})
