local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function softplus(one, options)
  options = options or {}
  return function(b)
    local exp = b.node("Exp", { b.input("x", { 2, 3 }) })
    local c = b.constant("one", core.tensor_from({ one }, "float32", options.shape or {}))
    local sum = b.node("Add", options.swap and { c, exp } or { exp, c })
    b.output(b.node("Log", { sum }, { name = "log", out = "y" }))
    if options.other then b.output(options.other == "exp" and exp or sum) end
  end
end

harness.describe("fuse_softplus", {
  { "makes one node of three", build = softplus(1), changes = 1, ops = "Softplus" },
  { "takes the number in front", build = softplus(1, { swap = true }), changes = 1, ops = "Softplus" },
  { "keeps another number", build = softplus(2), changes = 0, exact = true },
  { "keeps a number that adds an axis", build = softplus(1, { shape = { 1, 1, 1 } }), changes = 0, exact = true },
  { "keeps it where the Exp has another reader", build = softplus(1, { other = "exp" }), changes = 0, exact = true },
  { "keeps it where the sum has another reader", build = softplus(1, { other = "sum" }), changes = 0, exact = true },
})
