local harness = require "spec.support.pass_harness"

-- x -> the operators of the list, each { op_type, list of integers as second input or attrs } -> y
local function chain(list, shape, options)
  return function(b)
    local x = b.input("x", shape or { 1, 4, 1, 6 })
    for i, step in ipairs(list) do
      local inputs = { x, step.list and b.integers(nil, step.list) or nil }
      x = b.node(step[1], inputs, { attrs = step.attrs, out = i == #list and "y" or nil })
      if options and options.other == i then b.output(x) end
    end
    b.output(x)
  end
end

local function target(list)
  return function(graph) assert.same(list, graph:value "y".producer:input(2).constant:totable()) end
end

local SQUEEZE = { "Squeeze", list = { 2 } }
local FLATTEN = { "Flatten", attrs = { axis = 1 } }
local SWAP = { "Transpose", attrs = { perm = { 0, 2, 1, 3 } } }

harness.describe("fuse_reshapes", {
  { "joins Squeeze and Reshape", build = chain { SQUEEZE, { "Reshape", list = { 2, -1 } } }, changes = 1, exact = true,
    ops = "Reshape", check = target { 2, 12 } },
  { "joins a chain at once", changes = 1, exact = true, ops = "Reshape", check = target { 1, 24, 1 },
    build = chain { SQUEEZE, { "Unsqueeze", list = { 0 } }, FLATTEN, { "Unsqueeze", list = { 2 } } } },
  { "joins a Transpose of axes of size 1", build = chain { SWAP, FLATTEN }, changes = 1, exact = true,
    ops = "Reshape", check = target { 1, 24 } },
  { "keeps one dimension open", build = chain({ SQUEEZE, FLATTEN }, { "N", 4, 1, 6 }), changes = 1, exact = true,
    ops = "Reshape", check = target { -1, 24 } },
  { "keeps a chain with another reader", build = chain({ SQUEEZE, FLATTEN }, nil, { other = 1 }), changes = 0,
    exact = true },
  { "keeps a Transpose of others", build = chain({ SWAP, FLATTEN }, { 1, 4, 3, 6 }), changes = 0, exact = true },
  { "keeps one alone", build = chain { FLATTEN }, changes = 0, exact = true },
  { "keeps two open dimensions", build = chain({ SQUEEZE, { "Unsqueeze", list = { 1 } } }, { "N", "T", 1, 6 }),
    changes = 0, run = false },
  { "keeps what is empty", build = chain({ SQUEEZE, FLATTEN }, { 1, 0, 1, 6 }), changes = 0, run = false },
})
