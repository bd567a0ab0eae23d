local harness = require "spec.support.pass_harness"

harness.describe("nop", {
  { "does nothing", build = function(b) b.output(b.node("Identity", { b.input("x", { 2 }) })) end, changes = 0,
    exact = true, ops = "Identity" },
})
