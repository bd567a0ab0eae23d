--- Cases for a pass, as data.
---
---     local harness = require "spec.support.pass_harness"
---     harness.describe("eliminate_identity", {
---       { "drops an Identity between two nodes",
---         build = function(b)
---           local x = b.input("x", { 1, 3, 4, 4 })
---           b.output(b.node("Relu", { b.node("Identity", { b.node("Relu", { x }) }) }, { out = "y" }))
---         end,
---         changes = 1, exact = true, ops = "Relu Relu" },
---     })
---
--- Every case: the graph verifies before and after; the pass reports `changes` and then 0; the outputs keep names,
--- shapes and values (bit for bit when `exact`, else within 1e-5 of the largest); no constant is left over. With
--- changes = 0 the graph's text stays as it was. `ops`: the operators that are left. `check(graph)`: more.
--- `run = false`: a graph that cannot run and need not have shapes.

local assert = require "luassert"
local busted = require "busted"
local core = require "espquant.core"
local passes = require "espquant.passes"

local M = {}

local TOLERANCE = 1e-5

-- --- building -----------------------------------------------------------------------------------------------------

local function numbers(count, seed)
  local list = {}
  for i = 1, count do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    list[i] = (seed >> 8) / (1 << 22) - 1
  end
  return list
end

--- A float32 tensor of reproducible numbers in [-1, 1), or in [low, low + 2).
function M.random(shape, seed, low)
  local count = 1
  for _, d in ipairs(shape) do count = count * d end
  local t = core.tensor_from(numbers(count, seed), "float32", shape)
  return low and t + (low + 1) or t
end

--- Terse makers of the parts of a graph; `b.graph` is the graph.
function M.builder()
  local b, seed = { graph = core.graph { name = "case", opset = 13 } }, 0
  local function next_seed()
    seed = seed + 1
    return seed
  end

  function b.input(name, shape, dtype) return assert(b.graph:add_input(name, dtype or "float32", shape)) end
  function b.constant(name, tensor) return assert(b.graph:add_constant(name, tensor)) end
  function b.random(name, shape, low) return b.constant(name, M.random(shape, next_seed(), low)) end
  function b.integers(name, list) return b.constant(name, core.tensor_from(list, "int64")) end
  function b.output(value) return b.graph:add_output(value) end

  --- Adds a node and returns it; options: name, domain, attrs, out (name of its output), outputs (of several).
  function b.make(op_type, inputs, options)
    options = options or {}
    return assert(b.graph:add_node {
      op_type = op_type, domain = options.domain, name = options.name or "", inputs = inputs, attrs = options.attrs,
      outputs = options.outputs or (options.out and { options.out }) or 1,
    })
  end

  --- As `make`, but returns the node's first output.
  function b.node(...) return b.make(...):output(1) end

  --- The four parameters of a BatchNormalization of `channels`; names begin with `prefix`.
  function b.batch_norm(x, channels, options, prefix)
    prefix = prefix or "bn"
    local inputs = { x }
    for i, name in ipairs { "scale", "bias", "mean", "var" } do
      inputs[i + 1] = b.random(prefix .. "_" .. name, { channels }, name == "var" and 0.25 or nil)
    end
    return b.node("BatchNormalization", inputs, options)
  end

  return b
end

-- --- checking -----------------------------------------------------------------------------------------------------

local BATCH = 2

local function input_tensor(value, seed)
  local shape = value.shape
  for i, d in ipairs(shape) do shape[i] = math.type(d) == "integer" and d or BATCH end
  return M.random(shape, seed)
end

--- The outputs of the graph for reproducible inputs: tensors and their names. Shapes may depend on data.
function M.run(graph)
  local inputs = {}
  for i, value in ipairs(graph.inputs) do inputs[i] = input_tensor(value, 1000 + i) end
  local exec <close> = core.executor(graph, { threads = 1 })
  local tensors, names
  if exec then tensors, names = exec:run(inputs) else tensors, names = core.evaluate(graph, inputs) end
  assert(tensors, names)
  return tensors, names
end

--- The largest difference of two tensors, relative to the largest number of the first.
function M.difference(a, b)
  local largest = a:maxabs()
  return (a - b):maxabs() / (largest > 0 and largest or 1)
end

local function compare(case, before, after)
  assert.equal(#before, #after)
  for i, a in ipairs(before) do
    assert.same(a.shape, after[i].shape)
    if case.exact then
      assert.is_true((a:equal(after[i])))
    else
      assert.is_true(M.difference(a, after[i]) <= TOLERANCE, "differs by " .. M.difference(a, after[i]))
    end
  end
end

--- The operators of a graph in order, as one text.
function M.ops(graph)
  local list = {}
  for node in graph:nodes() do list[#list + 1] = node.op_type end
  return table.concat(list, " ")
end

local function unread_constants(graph)
  local names = {}
  for _, value in ipairs(graph:values()) do
    if value.constant and value:use_count() == 0 then names[value.name] = true end
  end
  return names
end

local function check_graph(case, graph, before)
  assert(graph:verify())
  if case.ops then assert.equal(case.ops, M.ops(graph)) end
  for name in pairs(unread_constants(graph)) do
    assert.is_true(before.unread[name], "left over: " .. name)
  end
end

local function snapshot(case, graph)
  assert(graph:verify())
  local before = { unread = unread_constants(graph) }
  if case.run ~= false then
    assert(graph:infer_shapes())
    before.tensors, before.names = M.run(graph)
  end
  before.text = tostring(graph)
  return before
end

local function check_results(pass, case, graph, before)
  assert.equal(0, pass:apply(graph))
  if case.run == false then return end
  assert(graph:infer_shapes())
  assert.equal(0, pass:apply(graph), "once shapes are inferred anew")
  local tensors, names = M.run(graph)
  assert.same(before.names, names)
  compare(case, before.tensors, tensors)
end

local function check_case(pass, case)
  local b = M.builder()
  case.build(b)
  local graph = b.graph
  local before = snapshot(case, graph)
  assert.equal(case.changes, pass:apply(graph))
  check_graph(case, graph, before)
  if case.changes == 0 then assert.equal(before.text, tostring(graph)) end
  check_results(pass, case, graph, before)
  if case.check then case.check(graph) end
end

--- Makes a busted block of the cases.
function M.describe(name, cases)
  busted.describe(name, function()
    local pass = assert(passes.get(name))
    for _, case in ipairs(cases) do
      busted.it(case[1], function() check_case(pass, case) end)
    end
  end)
end

return M
