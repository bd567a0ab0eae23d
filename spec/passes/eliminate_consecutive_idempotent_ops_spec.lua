local harness = require "spec.support.pass_harness"

local function chain(...)
  local ops = { ... }
  return function(b)
    local x = b.input("x", { 2, 3 })
    for i, op in ipairs(ops) do x = b.node(op, { x }, { out = i == #ops and "y" or nil }) end
    b.output(x)
  end
end

local function reshapes(first, second)
  return function(b)
    local x = b.node("Reshape", { b.input("x", { 2, 6 }), b.integers("a", first) })
    b.output(b.node("Reshape", { x, b.integers("b", second) }, { out = "y" }))
  end
end

harness.describe("eliminate_consecutive_idempotent_ops", {
  { "drops a second Relu", build = chain("Relu", "Relu"), changes = 1, exact = true, ops = "Relu" },
  { "drops a chain", build = chain("Floor", "Floor", "Floor"), changes = 2, exact = true, ops = "Floor" },
  { "knows Abs, Ceil and Round", changes = 3, exact = true, ops = "Abs Ceil Round",
    build = chain("Abs", "Abs", "Ceil", "Ceil", "Round", "Round") },
  { "keeps different operators", build = chain("Relu", "Abs"), changes = 0, exact = true },
  { "keeps what is not idempotent", build = chain("Neg", "Neg"), changes = 0, exact = true },
  { "drops a first Reshape", build = reshapes({ 3, 4 }, { 4, -1 }), changes = 1, exact = true, ops = "Reshape" },
  { "keeps one whose dimension is copied", build = reshapes({ 3, 4 }, { 0, 4 }), changes = 0, exact = true },
  { "keeps one that another node reads, for it", changes = 1, exact = true, ops = "Relu Relu", build = function(b)
    local x = b.node("Relu", { b.input("x", { 3 }) }, { out = "z" })
    b.output(b.node("Relu", { x }, { out = "y" }))
    b.output(x)
  end },
})
