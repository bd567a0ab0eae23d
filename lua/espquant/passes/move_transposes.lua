--- Before: Transpose(x) -> Relu, Add, Concat, Split, Resize, ReduceMean ... -> Transpose back
--- After:  x -> Relu, Add, Concat, Split, Resize, ReduceMean ... with axes and constants in the other order
---
--- Transposes move towards the outputs through every operator that can work in the other order, and cancel where two
--- meet. It is tried on a copy first: the graph changes only if it has fewer nodes afterwards.
local pass = require "espquant.pass"
local rules = require "espquant.transpose_rules"

local function is_identity(perm)
  for i, axis in ipairs(perm) do
    if axis ~= i - 1 then return false end
  end
  return true
end

local function first_order(node)
  for _, value in ipairs(node.inputs) do
    local perm = rules.transposed(value or nil)
    if perm then return perm end
  end
end

-- --- one result -----------------------------------------------------------------------------------------------------

-- The result of the node, made anew in the other order and then transposed.
local function rebuild(graph, node, inputs, attrs, perm)
  local made
  if node.op_type == "Transpose" then made = inputs[1]
  else
    made = assert(graph:add_node { op_type = node.op_type, name = node.name, inputs = inputs, attrs = attrs,
      before = node }):output(1)
    made:set_dtype(node:output(1).dtype)
  end
  local last = made.producer
  if not is_identity(perm) then
    last = assert(graph:add_node { op_type = "Transpose", inputs = { made }, attrs = { perm = perm }, before = node })
  elseif node.op_type == "Transpose" then return pass.replace(graph, node, made) end
  if pass.supersede(graph, node, last) then return true end
  pass.release(graph, last)
  return false
end

-- --- several results: Split -----------------------------------------------------------------------------------------

local function results(node)
  local list = {}
  for i in ipairs(node.outputs) do
    list[i] = node:output(i)
    if not list[i] or list[i].is_output then return nil end
  end
  return list
end

-- Their readers read transposed ones; the names go with the old node.
local function rebuild_all(graph, node, inputs, attrs, perm)
  local old = results(node)
  if not old then return false end
  local made = assert(graph:add_node { op_type = node.op_type, name = node.name, inputs = inputs, attrs = attrs,
    outputs = #old, before = node })
  for i, value in ipairs(old) do
    made:output(i):set_dtype(value.dtype)
    local transpose = assert(graph:add_node { op_type = "Transpose", inputs = { made:output(i) },
      attrs = { perm = perm }, before = node }):output(1)
    transpose:set_dtype(value.dtype)
    for _, reader in ipairs(value:users()) do
      for k, input in ipairs(reader.inputs) do
        if input == value then assert(reader:set_input(k, transpose)) end
      end
    end
  end
  pass.release(graph, node)
  return true
end

-- --- the graph ------------------------------------------------------------------------------------------------------

-- What a rule added for inputs that nobody reads.
local function discard(graph, inputs)
  for _, value in ipairs(inputs or {}) do
    if value and value.alive and value:use_count() == 0 then
      if value.constant then graph:remove_value(value)
      elseif rules.transposed(value) then pass.release(graph, value.producer) end
    end
  end
end

local function move_past(graph, node)
  local rule, any = rules.of(node)
  local perm = rule and first_order(node)
  if not perm or not (any or rules.transposed(node:input(1))) then return false end
  local inputs, attrs, behind = rule(graph, node, perm)
  local make = #node.outputs == 1 and rebuild or rebuild_all
  if inputs and make(graph, node, inputs, attrs, behind or perm) then return true end
  discard(graph, inputs)
  return false
end

local function transposes(graph)
  local count = 0
  for node in graph:nodes() do
    if node.op_type == "Transpose" then count = count + 1 end
  end
  return count
end

local MOST_ROUNDS = 8

local function sweep(graph)
  local total = 0
  for _ = 1, MOST_ROUNDS do
    local moved = 0
    for _, node in ipairs(graph:node_list()) do
      if node.alive and move_past(graph, node) then moved = moved + 1 end
    end
    total = total + moved
    if moved == 0 then break end
  end
  return total
end

return pass {
  name = "move_transposes",
  run = function(graph)
    if transposes(graph) == 0 then return 0 end
    local trial = assert(graph:clone())
    sweep(trial)
    local fewer = #trial < #graph
    trial:close()
    return fewer and sweep(graph) or 0
  end,
}
