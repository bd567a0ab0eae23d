--- Subgraphs as data: what a pass looks for.
---
---     local P = require "espquant.pattern"
---     local bn = P.BatchNormalization{ P.Conv{ P.any "x", P.const "w", P.opt(P.const "b") }:as "conv":only_use(),
---                                      P.const "scale", P.const "bias", P.const "mean", P.const "var" }:as "bn"
---     local m = P.match(bn, node)        -- nil, or { conv = node, bn = node, x = value, w = value, ... }
---
--- P.<OpType>{...} matches a value made by such a node (at the root: the node itself); its list holds a pattern per
--- input. Inputs beyond the list must be absent, unless the pattern is `:more()`; outputs beyond the first must have no
--- reader. P.any matches every value, P.const a constant, P.opt(p) also an absent input. A name that stands in two
--- places matches only if both are the same value.

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

--- Matches only if the node's attributes, or their defaults, equal these: `:with { alpha = 1, mode = "constant" }`.
function Pattern:with(attributes)
  self.attributes = attributes
  return self
end

--- Matches only if test(node or value, captures) is true.
function Pattern:where(test)
  self.test = test
  return self
end

function M.any(name) return pattern { kind = "any", capture = name } end

--- As P.<OpType>{...} for a node of any of these operators: P.one_of({ "Relu", "Abs" }, { P.any "x" }).
function M.one_of(ops, inputs)
  local set = {}
  for _, op in ipairs(ops) do set[op] = true end
  return pattern { kind = "op", ops = set, inputs = inputs }
end

function M.const(name) return pattern { kind = "const", capture = name } end

function M.opt(inner) return pattern { kind = "opt", inner = inner } end

--- Matches what the first fitting pattern of the list matches: P.either { P.Sqrt { P.any "x" }, P.any "x" }.
function M.either(list) return pattern { kind = "either", list = list } end

local match_value

local function match_inputs(p, node, captures, swapped)
  for i, input in ipairs(p.inputs) do
    local index = swapped and i <= 2 and 3 - i or i
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
  local name = p.capture
  if not name then return true end
  if captures[name] and captures[name] ~= what then return false end
  captures[name] = what
  return true
end

-- Whether f(trial) is true for a copy of the captures, which they then become: what fails leaves nothing behind.
local function try(captures, f)
  local trial = {}
  for name, what in pairs(captures) do trial[name] = what end
  if not f(trial) then return false end
  for name, what in pairs(trial) do captures[name] = what end
  return true
end

local function match_any_order(p, node, captures)
  for _, swapped in ipairs { false, true } do
    local function fits(trial) return match_inputs(p, node, trial, swapped) and remember(p, node, trial) end
    if try(captures, fits) then return true end
  end
  return false
end

local function match_either(p, value, captures)
  for _, inner in ipairs(p.list) do
    local function fits(trial) return match_value(inner, value, trial) and remember(p, value, trial) end
    if try(captures, fits) then return true end
  end
  return false
end

local function has_attributes(p, node)
  for name, wanted in pairs(p.attributes or {}) do
    if node:attr(name) ~= wanted then return false end
  end
  return true
end

local function has_one_result(node)
  for i = 2, #node.outputs do
    local output = node:output(i)
    if output and output:use_count() > 0 then return false end
  end
  return true
end

local function match_node(p, node, captures)
  if not p.ops[node.op_type] or node.domain ~= "" then return false end
  if not has_attributes(p, node) or not has_one_result(node) then return false end
  if p.commutes then return match_any_order(p, node, captures) end
  return match_inputs(p, node, captures, false) and remember(p, node, captures)
end

function match_value(p, value, captures)
  if p.kind == "opt" then return not value or match_value(p.inner, value, captures) end
  if not value or (p.single and value:use_count() ~= 1) then return false end
  if p.kind == "op" then
    local producer = value.producer
    return producer ~= nil and value.slot == 1 and match_node(p, producer, captures)
  end
  if p.kind == "either" then return match_either(p, value, captures) end
  if p.kind == "const" and not value.constant then return false end
  return remember(p, value, captures)
end

--- The captures when the pattern, an operator, fits the node as its root; else nil.
function M.match(p, node)
  local captures = {}
  if match_node(p, node, captures) then return captures end
end

return setmetatable(M, {
  __index = function(_, op)
    if not op:match "^%u" then error(("no kind of pattern is called '%s'"):format(op), 2) end
    return function(inputs) return M.one_of({ op }, inputs) end
  end,
})
