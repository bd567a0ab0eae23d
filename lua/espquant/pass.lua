--- A pass: a named change of a graph, told as a pattern and a rewrite, or as one function of the whole graph.
---
---     return pass {
---       name = "fuse_bn_into_conv",
---       match = P.BatchNormalization { ... }:as "bn",
---       rewrite = function(graph, m) ... return pass.replace(graph, m.bn, m.conv) end,   -- true: something changed
---     }
---     return pass { name = "eliminate_deadend", run = function(graph) return graph:prune() end }    -- how many
---
--- p:apply(graph) repeats until nothing changes and returns how many changes were made: 0 the second time. A rewrite
--- leaves the graph in topological order, and a graph that it declines as it was.

local core = require "espquant.core"
local pattern = require "espquant.pattern"

local Pass = { __name = "espquant.pass" }
Pass.__index = Pass

-- Rewrites every place once more until it no longer matches: a chain is gone in one round.
local function rewrite_all(self, graph, changed)
  for _, node in ipairs(graph:node_list()) do
    while node.alive do
      local m, label = pattern.match(self.match, node), node:label()
      if not m or not self.rewrite(graph, m) then break end
      changed(1, label)
    end
  end
end

--- Applies the pass to a fixed point; returns the number of changes. trace(pass name, node label) is told of each
--- rewrite.
function Pass:apply(graph, trace)
  -- More than any honest pass makes; one that undoes itself would otherwise never end.
  local total, most = 0, 1000 + 10 * (#graph + #graph:values())
  local function changed(count, label)
    total = total + count
    if trace and label then trace(self.name, label) end
    if total > most then error(("pass %s does not come to an end"):format(self.name)) end
  end
  repeat
    local before = total
    if self.run then changed(self.run(graph)) else rewrite_all(self, graph, changed) end
  until total == before
  return total
end

local M = {}

--- Removes the node if nobody reads its results, then whatever nodes and constants only it read.
function M.release(graph, node)
  local work = { node }
  while #work > 0 do
    local last = table.remove(work)
    local inputs = last.alive and last.inputs
    if inputs and last:remove() then
      for _, value in ipairs(inputs) do
        if value and value.alive and value:use_count() == 0 then
          if value.producer then work[#work + 1] = value.producer
          elseif value.constant then graph:remove_value(value) end
        end
      end
    end
  end
end

--- Lets the readers of `node` read `with`, a node or value, and removes the node. False, and nothing is changed, when a
--- graph output would have to take over a name that must stay.
function M.replace(graph, node, with)
  local done, message, code = graph:replace(node, with)
  if not done and code ~= "unsupported" then error(message, 0) end
  if done then M.release(graph, node) end
  return done == true
end

--- As `replace`; the result of the node `with` takes over name, type and shape of what it replaces.
function M.supersede(graph, node, with)
  local old, result = node:output(1), with:output(1)
  local name, dtype, shape = old.name, old.dtype, old.shape
  if not M.replace(graph, node, with) then return false end
  if result.name ~= name then assert(result:rename(name)) end
  result:set_dtype(dtype)
  if shape then assert(result:set_shape(shape)) end
  return true
end

-- Names beyond these are left to the graph; a model with thousands of equal names must not cost their square.
local MOST_NAMES = 100

-- "<node name>_<suffix>", with a number when it is taken; nil when those are taken too.
local function constant_name(graph, node, suffix)
  local base = (node.name ~= "" and node.name or node:output(1).name) .. "_" .. suffix
  local name, number = base, 1
  while graph:value(name) do
    number = number + 1
    if number > MOST_NAMES then return nil end
    name = base .. "_" .. number
  end
  return name
end

--- Gives input number i of the node this constant: in place when nobody else reads the present one, else as a new
--- constant named after the node, `<node name>_<suffix>`.
function M.set_constant(graph, node, i, tensor, suffix)
  local value = node:input(i)
  if value and value.constant and value:use_count() == 1 then
    value:set_constant(tensor)
  else
    assert(node:set_input(i, assert(graph:add_constant(constant_name(graph, node, suffix), tensor))))
  end
end

--- Gives the list of integers to the node where its opset keeps it: in input i if it has one, else in the attribute.
function M.set_integers(graph, node, name, i, list)
  if not node:input(i) then assert(node:set_attr(name, list, "ints"))
  else M.set_constant(graph, node, i, core.tensor_from(list, "int64"), name) end
end

--- Lets the readers of `node` read this tensor and removes the node; false where it makes a graph output.
function M.replace_by_constant(graph, node, tensor)
  if node:output(1).is_output then return false end
  return M.replace(graph, node, assert(graph:add_constant(nil, tensor)))
end

local function is_integers(list)
  if type(list) ~= "table" then return false end
  for _, entry in ipairs(list) do
    if math.type(entry) ~= "integer" then return false end
  end
  return true
end

--- The attribute, or its default, if it is of that kind ("integer", "float", "integers"); nil for every other.
function M.attr(node, name, kind)
  local value = node:attr(name)
  if kind == "integers" then return is_integers(value) and value or nil end
  return math.type(value) == kind and value or nil
end

return setmetatable(M, {
  __call = function(_, fields)
    assert(fields.name and (fields.run or (fields.match and fields.rewrite)),
      "a pass has a name, and run, or match and rewrite")
    return setmetatable(fields, Pass)
  end,
})
