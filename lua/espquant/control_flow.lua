--- If and Loop whose condition or count is constant are put in place when a file is read: the branch that is taken, the
--- body as often as it runs. What depends on data stays, and is refused by whoever needs to know the operator.
---
---     Before: If(true) { then: Relu(x) } -> y               After: Relu(x) -> y
---     Before: Loop(3, true, x) { body: Add(carried, 1) }    After: Add(Add(Add(x, 1), 1), 1)

local core = require "espquant.core"

local M = {}

-- Nodes of a loop's body that is put in place so often are refused; a count from a file may be anything.
local MOST_ROUNDS = 1024

local function constant(value)
  local t = value and value.constant
  return t and t.count == 1 and t
end

-- The node's outputs are read from `results`; then it goes. True, or nil, message, code.
local function finish(graph, node, results)
  for i, output in ipairs(node.outputs) do
    if output and not results[i] then
      return nil, ("%s: output %d is no output of its body"):format(node:label(), i), "format"
    end
  end
  for i, output in ipairs(node.outputs) do
    if output then
      local copy = graph:add_node { op_type = "Identity", inputs = { results[i] }, before = node }
      assert(graph:replace(output, copy:output(1)))
    end
  end
  assert(node:remove())
  return true
end

local function inline_if(graph, node, options)
  local condition = constant(node:input(1))
  if not condition then return false end
  local taken = condition:astype "bool":item()
  local branch = (taken == true or taken == 1) and "then_branch" or "else_branch"
  local results, message, code = core.onnx_splice(graph, node, branch, {}, options)
  if not results then return nil, ("%s: %s"):format(node:label(), message), code end
  return finish(graph, node, results)
end

local function scalar(graph, x, dtype) return graph:add_constant(nil, core.tensor_from(x, "int64"):astype(dtype)) end

-- The rows of a scan output, one for each round, along a new first axis.
local function stack(graph, node, rows)
  local parts = {}
  for i, row in ipairs(rows) do
    local axes = graph.opset >= 13
    parts[i] = graph:add_node { op_type = "Unsqueeze", before = node, attrs = not axes and { axes = { 0 } } or nil,
      inputs = axes and { row, graph:add_constant(nil, core.tensor_from({ 0 }, "int64")) } or { row } }:output(1)
  end
  return graph:add_node { op_type = "Concat", inputs = parts, attrs = { axis = 0 }, before = node }:output(1)
end

-- Whether the condition that a round gives is the true one that it was given: then only the count ends the loop.
local function stays_true(value, given)
  while value and value.producer and value.producer.op_type == "Identity" do value = value.producer:input(1) end
  local t = constant(value)
  local x = t and t:astype "bool":item()
  return value == given or x == true or x == 1
end

local function run_rounds(graph, node, rounds, truth, options)
  local carried, scans = {}, {}
  for i = 3, #node.inputs do carried[#carried + 1] = node:input(i) end
  for round = 0, rounds - 1 do
    local results, message, code = core.onnx_splice(graph, node, "body",
      { scalar(graph, round, "int64"), truth, table.unpack(carried) }, options)
    if not results then return nil, message, code end
    if not stays_true(results[1], truth) then
      return nil, "the condition of its rounds depends on data; only a constant count can be put in place",
        "unsupported"
    end
    for i = 1, #carried do carried[i] = results[1 + i] end
    for i = #carried + 2, #results do
      local rows = scans[i - #carried - 1] or {}
      scans[i - #carried - 1], rows[#rows + 1] = rows, results[i]
    end
  end
  for _, rows in ipairs(scans) do carried[#carried + 1] = stack(graph, node, rows) end
  return carried
end

local function inline_loop(graph, node, options)
  local count, condition = constant(node:input(1)), node:input(2)
  if not count or (condition and not constant(condition)) then return false end
  local truth = scalar(graph, 1, "bool")
  local start = not condition or stays_true(condition, truth)
  local rounds = start and math.max(count:item(), 0) or 0
  if rounds > MOST_ROUNDS then
    return nil, ("%s: %d rounds, the limit is %d"):format(node:label(), rounds, MOST_ROUNDS), "limit"
  end
  if rounds == 0 and #node.outputs > #node.inputs - 2 then return false end
  local results, message, code = run_rounds(graph, node, rounds, truth, options)
  if not results then return nil, ("%s: %s"):format(node:label(), message), code end
  return finish(graph, node, results)
end

local inline = { If = inline_if, Loop = inline_loop }

-- One pass over the nodes: how many were put in place.
local function round_of(graph, options)
  local changes = 0
  for _, node in ipairs(graph:node_list()) do
    local f = node.alive and node.domain == "" and inline[node.op_type]
    local done, message, code
    if f then done, message, code = f(graph, node, options) end
    if f and done == nil then return nil, message, code end
    if done then changes = changes + 1 end
  end
  return changes
end

local function has_control_flow(graph)
  for node in graph:nodes() do
    if inline[node.op_type] then return true end
  end
end

--- Puts in place what it can, until nothing changes; conditions that follow from constants count as constant.
--- options.limits bounds the nodes. True, or nil, message, code.
function M.inline(graph, options)
  while has_control_flow(graph) do
    graph:infer_shapes()
    core.fold_constants(graph)
    local changes, message, code = round_of(graph, options)
    if not changes then return nil, message, code end
    if changes == 0 then break end
  end
  return true
end

return M
