local harness = require "spec.support.pass_harness"

-- x (2,3,4) -> Reshape to (-1,4) -> MatMul -> Reshape to (2,3,5) -> Neg
local function build(o)
  o = o or {}
  return function(b)
    local x = b.node("Reshape", { b.input("x", o.shape or { 2, 3, 4 }), b.integers("flat", o.flat or { -1, 4 }) })
    if o.before then b.output(x) end
    local y = b.node("MatMul", { x, b.random("w", o.w or { 4, 5 }) }, { name = "fc" })
    if o.behind then b.output(y) end
    b.output(b.node("Neg", { b.node("Reshape", { y, b.integers("back", o.back or { 2, 3, 5 }) }) }))
  end
end

local function keeps(name, o) return { name, build = build(o), changes = 0, exact = true } end

harness.describe("eliminate_reshapes_around_matmul", {
  { "multiplies as it is", build = build(), changes = 1, ops = "MatMul Neg" },
  { "keeps an open batch open", build = build { shape = { "N", 3, 4 }, back = { -1, 3, 5 } }, changes = 1,
    ops = "MatMul Neg" },
  keeps("keeps other rows", { back = { 3, 2, 5 } }),
  keeps("keeps another rank", { back = { 6, 5 } }),
  keeps("keeps two open dimensions", { shape = { "N", "L", 4 }, back = { -1, 2, 5 } }),
  keeps("keeps other columns", { shape = { 2, 3, 4 }, flat = { -1, 2 }, w = { 2, 5 }, back = { 2, 3, 10 } }),
  keeps("keeps it where others read the rows", { before = true }),
  keeps("keeps it where others read the product", { behind = true }),
  keeps("keeps a product of rank 3", { flat = { 1, 6, 4 } }),
})
