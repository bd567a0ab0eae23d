--- Small vectors of integers that are computed from shapes, element by element.
---
---     local elements = shape_vectors.follow(graph)
---     elements(graph:value "target")     -- { "N", 64, 49 }: numbers, and names of open dimensions
local pass = require "espquant.pass"

local M = {}

local MOST = 64 -- elements of a vector that is followed
local READS = { int64 = true, int32 = true }

--- A name for element i of a value, or for its dimension i, of which nothing is known: equal to itself only.
function M.unknown(value, i) return ("%s\0%d"):format(value.name, i) end

--- The dimensions of a value, open ones by name; nil where the rank is not known.
function M.dimensions(value)
  local shape = value and value.shape
  if not shape or #shape > MOST then return nil end
  local list = {}
  for i, d in ipairs(shape) do list[i] = d or M.unknown(value, i) end
  return list
end

local function from_constant(t)
  if not READS[t.dtype] or t.rank > 1 or t.count > MOST then return nil end
  if t.rank == 0 then return { t:item(), scalar = true } end
  return t.count == 0 and {} or t:totable()
end

local function is_number(x) return math.type(x) == "integer" end

--- The list if it is one of numbers alone, else nil.
local function numbers(list)
  for _, x in ipairs(list or { false }) do
    if not is_number(x) then return nil end
  end
  return list
end

-- The 1-based place of an index that may count from the end; nil outside.
local function place(i, n)
  if i < 0 then i = i + n end
  return i >= 0 and i < n and i + 1 or nil
end

-- --- what each operator does with elements --------------------------------------------------------------------------

local follow = {}

function follow.Shape(node)
  local all = M.dimensions(node:input(1))
  if not all then return nil end
  local first = pass.attr(node, "start", "integer") or 0
  local last = node:has_attr "end" and pass.attr(node, "end", "integer") or #all
  if first < 0 then first = math.max(first + #all, 0) end
  if last < 0 then last = last + #all end
  return table.move(all, math.min(first, #all) + 1, math.max(0, math.min(last, #all)), 1, {})
end

function follow.Gather(node, of)
  local list, index = of(1), numbers(of(2))
  if not list or list.scalar or not index or (node:attr "axis" or 0) ~= 0 then return nil end
  local taken = { scalar = index.scalar }
  for i, at in ipairs(index) do
    local from = place(at, #list)
    if not from then return nil end
    taken[i] = list[from]
  end
  return taken
end

-- Bounds as inputs (opset 10) or attributes; of one axis.
local function bound(node, of, i, name)
  if node:input(i) then return numbers(of(i)) end
  return pass.attr(node, name, "integers")
end

function follow.Slice(node, of)
  local list, first, last = of(1), bound(node, of, 2, "starts"), bound(node, of, 3, "ends")
  local step = node:input(5) and numbers(of(5)) or { 1 }
  if not list or list.scalar or not first or not last or #first ~= 1 or #last ~= 1 or step[1] ~= 1 then return nil end
  local function clamp(i) return math.max(0, math.min(i < 0 and i + #list or i, #list)) end
  return table.move(list, clamp(first[1]) + 1, clamp(last[1]), 1, {})
end

function follow.Concat(node, of)
  local all = {}
  for i = 1, #node.inputs do
    local list = of(i)
    if not list or list.scalar or #all + #list > MOST then return nil end
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

-- One element may lose its axis and get it back.
local function of_one(scalar)
  return function(_, of)
    local list = of(1)
    return list and #list == 1 and (list.scalar or false) ~= scalar and { list[1], scalar = scalar or nil } or nil
  end
end

follow.Squeeze = of_one(true)

local unsqueeze = of_one(false)
function follow.Unsqueeze(node, of)
  local axes = bound(node, of, 2, "axes")
  return axes and #axes == 1 and unsqueeze(node, of) or nil
end

function follow.Identity(_, of) return of(1) end

function follow.Cast(node, of) return READS[node:output(1).dtype] and of(1) or nil end

function follow.Reshape(_, of)
  local list, target = of(1), numbers(of(2))
  if not list or not target or #target > 1 or #list ~= (#target == 0 and 1 or #list) then return nil end
  if target[1] and target[1] ~= -1 and target[1] ~= #list then return nil end
  return table.move(list, 1, #list, 1, { scalar = #target == 0 or nil })
end

-- Sums and products of numbers that stay far from the ends of an integer; x * 1, x / 1, x + 0, x - 0 of open ones.
local FAR = 1 << 31
local arithmetic = {
  Add = { 0, function(a, b) return a + b end }, Sub = { 0, function(a, b) return a - b end },
  Mul = { 1, function(a, b) return a * b end },
  Div = { 1, function(a, b) return a >= 0 and b > 0 and a // b or nil end },
}

local function combine(rule, a, b)
  if is_number(a) and is_number(b) then
    local small = math.abs(a) < FAR and math.abs(b) < FAR
    return small and rule[2](a, b) or nil
  end
  return b == rule[1] and a or nil
end

for op, rule in pairs(arithmetic) do
  follow[op] = function(node, of)
    local a, b = of(1), of(2)
    if not a or not b or (#a ~= #b and #a ~= 1 and #b ~= 1) then return nil end
    local result = { scalar = a.scalar and b.scalar }
    for i = 1, (#a == 0 or #b == 0) and 0 or math.max(#a, #b) do
      local x, y = a[#a == 1 and 1 or i], b[#b == 1 and 1 or i]
      result[i] = combine(rule, x, y) or ((op == "Add" or op == "Mul") and combine(rule, y, x)) or nil
      result[i] = result[i] or M.unknown(node:output(1), i)
    end
    return result
  end
end

-- --- the graph ------------------------------------------------------------------------------------------------------

local function of_unknown(value)
  local shape, list = value.shape, {}
  if not READS[value.dtype] or not shape or #shape > 1 then return nil end
  local count = shape[1] or #shape == 0 and 1
  if math.type(count) ~= "integer" or count > MOST then return nil end
  for i = 1, count do list[i] = M.unknown(value, i) end
  list.scalar = #shape == 0 or nil
  return list
end

-- The list, unless the value has more axes, or fewer.
local function of_rank(value, list)
  local shape = value.shape
  if not list or (shape and #shape ~= (list.scalar and 0 or 1)) then return nil end
  return list
end

--- A function that gives the elements of a value, numbers and names, with scalar = true for rank 0; nil for values that
--- are no small vector of integers. Shapes must have been inferred.
function M.follow(graph)
  local known = {}
  local function elements(value)
    if not value then return nil end
    return value.constant and from_constant(value.constant) or known[value.name] or of_unknown(value)
  end
  for node in graph:nodes() do
    local rule, result = node.domain == "" and follow[node.op_type], node:output(1)
    if rule and result then
      known[result.name] = of_rank(result, rule(node, function(i) return elements(node:input(i)) end))
    end
  end
  return elements
end

M.numbers = numbers

return M
