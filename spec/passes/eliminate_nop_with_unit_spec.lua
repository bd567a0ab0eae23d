local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

-- op(x, constant of that number and shape)
local function unit(op, number, options)
  options = options or {}
  return function(b)
    local x = b.node("Relu", { b.input("x", { 2, 3 }) })
    local c = b.constant("c", core.tensor(options.shape or {}, "float32"):fill(number))
    b.output(b.node(op, options.first and { c, x } or { x, c }, { out = "y" }))
  end
end

local function drops(op, number, options)
  return { ("drops %s of %g"):format(op, number), build = unit(op, number, options), changes = 1, exact = true,
    ops = "Relu" }
end

local function keeps(name, op, number, options)
  return { name, build = unit(op, number, options), changes = 0, exact = true }
end

local function logic(op, value)
  return function(b)
    local x = b.node("Not", { b.input("x", { 3 }, "bool") })
    b.output(b.node(op, { x, b.constant("c", core.tensor_from({ value }, "bool")) }, { out = "y" }))
    b.graph:infer_shapes()
  end
end

harness.describe("eliminate_nop_with_unit", {
  drops("Add", 0), drops("Sub", 0), drops("Mul", 1), drops("Div", 1), drops("Pow", 1),
  drops("Add", 0, { first = true }), drops("Mul", 1, { first = true, shape = { 3 } }),
  drops("Mul", 1, { shape = { 2, 1 } }),
  keeps("keeps another number", "Mul", 2),
  keeps("keeps 1 / x", "Div", 1, { first = true }),
  keeps("keeps 0 - x", "Sub", 0, { first = true }),
  keeps("keeps a constant that adds an axis", "Mul", 1, { shape = { 1, 2, 3 } }),
  { "drops and true", build = logic("And", 1), changes = 1, run = false, ops = "Not" },
  { "drops or false", build = logic("Or", 0), changes = 1, run = false, ops = "Not" },
  { "keeps and false", build = logic("And", 0), changes = 0, run = false },
  { "keeps a constant that repeats x", changes = 0, exact = true, build = function(b)
    local x = b.node("Relu", { b.input("x", { 2, 1 }) })
    b.output(b.node("Mul", { x, b.constant("c", core.tensor({ 1, 3 }, "float32"):fill(1)) }))
  end },
})
