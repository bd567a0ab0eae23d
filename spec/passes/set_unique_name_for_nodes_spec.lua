local harness = require "spec.support.pass_harness"

local function chain(...)
  local list = { ... }
  return function(b)
    local x = b.input("x", { 3 })
    for _, name in ipairs(list) do x = b.node("Relu", { x }, { name = name }) end
    b.output(x)
  end
end

local function names(expected)
  return function(graph)
    local list = {}
    for node in graph:nodes() do list[#list + 1] = node.name end
    assert.same(expected, list)
  end
end

harness.describe("set_unique_name_for_nodes", {
  { "names nodes without one", build = chain("", ""), changes = 2, exact = true, check = names { "Relu_0", "Relu_1" } },
  { "renames the later of two", build = chain("a", "a"), changes = 1, exact = true, check = names { "a", "Relu_0" } },
  { "avoids names that are taken", build = chain("", "Relu_0"), changes = 1, exact = true,
    check = names { "Relu_1", "Relu_0" } },
  { "keeps names that differ", build = chain("a", "b"), changes = 0, exact = true },
})
