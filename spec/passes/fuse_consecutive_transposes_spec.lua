local harness = require "spec.support.pass_harness"

local function transposes(a, c, shared)
  return function(b)
    local x = b.node("Transpose", { b.input("x", { 2, 3, 4 }) }, { attrs = { perm = a }, out = "z" })
    b.output(b.node("Transpose", { x }, { attrs = { perm = c }, out = "y" }))
    if shared then b.output(x) end
  end
end

local function perm(list)
  return function(graph) assert.same(list, graph:node_list()[1]:attr "perm") end
end

harness.describe("fuse_consecutive_transposes", {
  { "makes them one", build = transposes({ 1, 2, 0 }, { 1, 0, 2 }), changes = 1, exact = true, ops = "Transpose",
    check = perm { 2, 1, 0 } },
  { "reverses without perm", build = transposes(nil, { 1, 2, 0 }), changes = 1, exact = true, ops = "Transpose",
    check = perm { 1, 0, 2 } },
  { "leaves the first where it is read", build = transposes({ 1, 2, 0 }, { 1, 2, 0 }, true), changes = 1, exact = true,
    ops = "Transpose Transpose" },
  { "keeps what is no permutation", build = transposes({ 1, 1, 0 }, { 1, 0, 2 }), changes = 0, run = false },
  { "keeps two of different ranks", build = transposes({ 1, 2, 0 }, { 1, 0 }), changes = 0, run = false },
  { "keeps one without perm and rank", changes = 0, run = false, build = function(b)
    b.output(b.node("Transpose", { b.node("Transpose", { b.input("x") }) }))
  end },
})
