local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

-- x (4 steps, 2 sequences, 3 numbers) -> op of 5 -> y; state(b) gives initial_h, or a list
local function recurrent(op, gates, state)
  return function(b)
    local inputs = { b.input("x", { 4, 2, 3 }), b.random("w", { 1, gates * 5, 3 }), b.random("r", { 1, gates * 5, 5 }),
      false, false }
    local states = state(b)
    for i, value in ipairs(type(states) == "table" and states or { states }) do inputs[5 + i] = value end
    b.output(b.node(op, inputs, { name = "cell", out = "y", attrs = { hidden_size = 5 } }))
  end
end

local function zeros(b, shape) return b.constant(nil, core.tensor(shape or { 1, 2, 5 })) end

local function expanded(b)
  local zero = b.node("Expand", { b.constant(nil, core.tensor_from({ 0 }, "float32", {})), b.integers(nil, { 2, 5 }) })
  return b.node("Unsqueeze", { zero, b.integers(nil, { 0 }) })
end

local function cut(b, fill)
  local all = b.node("ConstantOfShape", { b.integers(nil, { 3, 2, 5 }) }, { attrs = { value = fill } })
  return b.node("Slice", { all, b.integers(nil, { 1 }), b.integers(nil, { 2 }), b.integers(nil, { 0 }) })
end

harness.describe("eliminate_zero_initial_state", {
  { "drops a constant of zeros", build = recurrent("GRU", 3, zeros), changes = 1, exact = true, ops = "GRU" },
  { "drops both states of an LSTM", changes = 2, exact = true, ops = "LSTM",
    build = recurrent("LSTM", 4, function(b) return { zeros(b), zeros(b) } end) },
  { "drops one of two", changes = 1, exact = true, ops = "LSTM",
    build = recurrent("LSTM", 4, function(b) return { b.random(nil, { 1, 2, 5 }), zeros(b) } end) },
  { "drops a zero that is spread", build = recurrent("RNN", 1, expanded), changes = 1, exact = true, ops = "RNN" },
  { "drops a part of computed zeros", build = recurrent("GRU", 3, cut), changes = 1, exact = true, ops = "GRU" },
  { "drops zeros of both directions", changes = 1, exact = true, ops = "GRU",
    build = recurrent("GRU", 3, function(b) return b.node("Concat", { expanded(b, 1), zeros(b, { 0, 2, 5 }) },
      { attrs = { axis = 0 } }) end) },
  { "keeps zeros beside others", changes = 0, exact = true,
    build = recurrent("GRU", 3, function(b) return b.node("Concat", { zeros(b, { 1, 1, 5 }),
      b.random(nil, { 1, 1, 5 }) }, { attrs = { axis = 1 } }) end) },
  { "keeps other computed numbers", changes = 0, exact = true,
    build = recurrent("GRU", 3, function(b) return cut(b, core.tensor_from({ 1 }, "float32")) end) },
  { "keeps other numbers", changes = 0, exact = true,
    build = recurrent("GRU", 3, function(b) return b.random(nil, { 1, 2, 5 }) end) },
  { "keeps a state from outside", changes = 0, run = false,
    build = recurrent("GRU", 3, function(b) return b.input("h", { 1, 2, 5 }) end) },
})
