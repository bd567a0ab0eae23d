--- Subgraphs as data: what a pass looks for.
---
---     local P = require "espquant.pattern"
---     local bn = P.BatchNormalization{ P.Conv{ P.any "x", P.const "w", P.opt(P.const "b") }:as "conv":only_use(),
---                                      P.const "scale", P.const "bias", P.const "mean", P.const "var" }:as "bn"
---     local m = P.match(bn, node)        -- nil, or { conv = node, bn = node, x = value, w = value, ... }
---
--- P.<OpType>{...} matches a value made by such a node (at the root: the node itself); its list holds a pattern per input.
--- Inputs beyond the list must be absent, unless the pattern is `:more()`. P.any matches every value, P.const a constant,
--- P.opt(p) also an absent input.

local M = {}

local Pattern = {}
Pattern.__index = Pattern

local function pattern(fields)
  return setmetatable(fields, Pattern)
end

--- Captures the node (of an operator) or the value under this name.
function Pattern:as(name)
  self.capture = name
  return self
end

--- Matches only if nothing else reads the value and it is no graph output.
function Pattern:only_use()
  self.single = true
  return self
end

--- Lets the node have further inputs.
function Pattern:more()
  self.open = true
  return self
end

--- Tries the first two inputs in both orders.
function Pattern:any_order()
  self.commutes = true
  return self
end

--- Matches only if test(node or value, captures) is true.
function Pattern:where(test)
  self.test = test
  return self
end

function M.any(name) return pattern { kind = "any", capture = name } end

function M.const(name) return pattern { kind = "const", capture = name } end

function M.opt(inner) return pattern { kind = "opt", inner = inner } end

local match_value

local function match_inputs(p, node, captures, first, second)
  for i, input in ipairs(p.inputs) do
    local index = i == 1 and first or i == 2 and second or i
    if not match_value(input, node:input(index), captures) then return false end
  end
  if p.open then return true end
  for i = #p.inputs + 1, #node.inputs do
    if node:input(i) then return false end
  end
  return true
end

local function remember(p, what, captures)
  if p.test and not p.test(what, captures) then return false end
  if p.capture then captures[p.capture] = what end
  return true
end

local function match_node(p, node, captures)
  if node.op_type ~= p.op or node.domain ~= "" then return false end
  local fits = match_inputs(p, node, captures, 1, 2) or (p.commutes and match_inputs(p, node, captures, 2, 1))
  return fits and remember(p, node, captures)
end

function match_value(p, value, captures)
  if p.kind == "opt" then return not value or match_value(p.inner, value, captures) end
  if not value then return false end
  if p.single and value:use_count() ~= 1 then return false end
  if p.kind == "op" then
    local producer = value.producer
    return producer ~= nil and value.slot == 1 and match_node(p, producer, captures)
  end
  if p.kind == "const" and not value.constant then return false end
  return remember(p, value, captures)
end

--- The captures when the pattern, an operator, fits the node as its root; else nil.
function M.match(p, node)
  local captures = {}
  if match_node(p, node, captures) then return captures end
end

--- The operator type that a pattern's root must have.
function M.root(p)
  return p.op
end

return setmetatable(M, {
  __index = function(_, op)
    return function(inputs) return pattern { kind = "op", op = op, inputs = inputs } end
  end,
})
