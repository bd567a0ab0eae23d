local harness = require "spec.support.pass_harness"

local function log(axis, shared)
  return function(b)
    local s = b.node("Softmax", { b.input("x", { 2, 3 }) }, { attrs = { axis = axis }, out = "s" })
    b.output(b.node("Log", { s }, { name = "log", out = "y" }))
    if shared then b.output(s) end
  end
end

harness.describe("fuse_consecutive_log_softmax", {
  { "makes them one", build = log(1), changes = 1, ops = "LogSoftmax" },
  { "keeps axis and name", build = log(0), changes = 1, ops = "LogSoftmax", check = function(graph)
    local node = graph:node_list()[1]
    assert.same({ "log", 0, "y" }, { node.name, node:attr "axis", node:output(1).name })
  end },
  { "keeps a Softmax that another node reads", build = log(1, true), changes = 0, exact = true },
})
