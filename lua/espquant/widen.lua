--- Models of float16 and float64 as models of float32, where they hold an operator that computes in float32 only:
--- Conv, Relu, Softmax and more. What such a model computes then differs from the original by the rounding of its type:
--- Conv, Relu, Softmax and more. What it computes then differs from the original by the rounding of its own type:
--- types, and so do models with operators that are not known.
---
---     local note = widen.apply(graph)      -- nil: nothing was to do

local core = require "espquant.core"

local M = {}

local WIDE = { float16 = true, float64 = true }
local FLOAT, CODES = 1, { [10] = "float16", [11] = "float64" } -- of ONNX's element types

local function is_wide(value) return value and WIDE[value.dtype] end

local function has_wide_input(node)
  for _, value in ipairs(node.inputs) do
    if is_wide(value) then return true end
  end
end

-- The first node that computes in float32 and gets another type of float.
local function find_float32_node(graph)
  for node in graph:nodes() do
    local _, code = node:fault()
    if code == "unsupported" and has_wide_input(node) then return node end
  end
end

local function holds_unknown(graph)
  for node in graph:nodes() do
    if not core.op(node.op_type, node.domain) then return true end
  end
end

-- Quick, since most models are of float32.
local function is_concerned(graph)
  for _, value in ipairs(graph.inputs) do
    if is_wide(value) then return true end
  end
  for node in graph:nodes() do
    if has_wide_input(node) or node.op_type == "Cast" and CODES[node:attr "to"] then return true end
  end
end

-- Constants, and what makes a type of its own.
local function widen_node(node)
  for _, value in ipairs(node.inputs) do
    if is_wide(value) and value.constant then value:set_constant(value.constant:astype "float32") end
  end
  if node.op_type == "Cast" and CODES[node:attr "to"] then node:set_attr("to", FLOAT) end
  local filling = node.op_type == "ConstantOfShape" and node:has_attr "value" and node:attr "value"
  if filling and WIDE[filling.dtype] then node:set_attr("value", filling:astype "float32") end
end

--- Widens the graph in place. The note, or nil where nothing was to do.
function M.apply(graph)
  if not is_concerned(graph) or holds_unknown(graph) then return nil end
  graph:infer_shapes() -- as far as it goes: the first misfit is asked for below
  local node = find_float32_node(graph)
  if not node then return nil end
  local label = node:label()
  for _, value in ipairs(graph.inputs) do
    if is_wide(value) then value:set_dtype "float32" end
  end
  for each in graph:nodes() do widen_node(each) end
  graph:infer_shapes()
  return ("float16 and float64 are read as float32, in which %s computes"):format(label)
end

return M
