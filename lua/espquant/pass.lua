--- A pass: a named change of a graph, told as a pattern and a rewrite, or as one function of the whole graph.
---
---     return pass {
---       name = "eliminate_identity",
---       match = P.Identity{ P.any "x" }:as "node",
---       rewrite = function(graph, m) ... return true end,      -- true: something changed
---     }
---     return pass { name = "eliminate_deadend", run = function(graph) return graph:prune() end }
---
--- p:apply(graph) repeats until nothing changes and returns how many changes were made. A rewrite leaves the graph in
--- topological order and may remove the matched nodes.

local pattern = require "espquant.pattern"

local Pass = { __name = "espquant.pass" }
Pass.__index = Pass

-- More rounds than any graph needs; a pass that undoes itself would otherwise never end.
local MAX_ROUNDS = 1000

local function once(self, graph, trace)
  if self.run then return self.run(graph) end
  local root, count = pattern.root(self.match), 0
  for _, node in ipairs(graph:node_list()) do
    if node.alive and node.op_type == root then
      local label = trace and node:label()
      local m = pattern.match(self.match, node)
      if m and self.rewrite(graph, m) then
        count = count + 1
        if trace then trace(self.name, label) end
      end
    end
  end
  return count
end

--- Applies the pass to a fixed point; returns the number of changes. trace(pass name, node label) is told of each.
function Pass:apply(graph, trace)
  local total = 0
  for _ = 1, MAX_ROUNDS do
    local count = once(self, graph, trace)
    if count == 0 then return total end
    total = total + count
  end
  error(("pass %s does not come to an end"):format(self.name))
end

local M = {}

--- Gives input number i of the node this constant: in place when nobody else reads the present one, else as a new
--- constant `name` (or a fresh name).
function M.set_constant(graph, node, i, tensor, name)
  local value = node:input(i)
  if value and value.constant and value:use_count() == 1 then
    value:set_constant(tensor)
    return
  end
  if name and graph:value(name) then name = nil end
  local new = graph:add_constant(name, tensor)
  if i <= #node.inputs then node:set_input(i, new) return end
  local inputs = node.inputs
  for k = #inputs + 1, i - 1 do inputs[k] = false end
  inputs[i] = new
  node:set_inputs(inputs)
end

return setmetatable(M, {
  __call = function(_, fields)
    assert(fields.name and (fields.run or (fields.match and fields.rewrite)),
      "a pass has a name, and run, or match and rewrite")
    return setmetatable(fields, Pass)
  end,
})
