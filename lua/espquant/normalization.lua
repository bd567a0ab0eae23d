--- What decomposed normalizations have in common: means over axes, deviations, and factors that follow.

local core = require "espquant.core"
local axes = require "espquant.axes"
local numbers = require "espquant.numbers"
local P, pass = require "espquant.pattern", require "espquant.pass"

local M = {}

--- A pattern: the node that reduces what `inner` matches, with one dimension left of each axis.
function M.reduce(op_type, inner, name)
  return P[op_type] { inner, P.opt(P.const()) }:with { keepdims = 1 }:as(name)
end

--- A pattern: the node that makes the mean; of rank 3 and more it can be a GlobalAveragePool.
function M.mean(inner, name)
  return P.either { M.reduce("ReduceMean", inner, name), P.GlobalAveragePool { inner }:as(name) }
end

--- A pattern: the square of what `inner(i)` matches, i being 1 and, for the second factor of a product, 2.
function M.square(inner)
  return P.either { P.Pow { inner(1), numbers.is(2) }, P.Mul { inner(1), inner(2) } }
end

--- A pattern: sqrt(variance + epsilon).
function M.deviation(variance)
  local sum = P.Add { variance, P.const "epsilon" }:any_order():only_use()
  return P.either { P.Sqrt { sum }:only_use(), P.Pow { sum, numbers.is(0.5) }:only_use() }
end

--- A pattern: 1 / sqrt(variance + epsilon).
function M.inverse(variance)
  return P.either {
    P.Reciprocal { M.deviation(variance) },
    P.Div { numbers.is(1), M.deviation(variance) },
    P.Pow { P.Add { variance, P.const "epsilon" }:any_order():only_use(), numbers.is(-0.5) },
  }
end

-- The axes of a node that `reduce` or `mean` matched, ascending.
local function axes_of(node, rank)
  if node.op_type ~= "GlobalAveragePool" then return axes.normalize(axes.read(node, "axes", 2), rank) end
  local list = {}
  for axis = 2, (rank or 0) - 1 do list[#list + 1] = axis end
  return list
end

--- The axes that these reductions of x have in common, ascending; nil where they differ or are not known. The first is
--- a node, others may be nil.
function M.common_axes(x, ...)
  local rank, first = axes.rank(x), nil
  for i = 1, select("#", ...) do
    local node = select(i, ...)
    local list = node and axes_of(node, rank) or first
    if not list or #list == 0 or (first and not axes.equal(first, list)) then return nil end
    first = list
  end
  return first
end

-- The dimensions of x from axis on; nil where one is not known.
local function dims_from(x, axis)
  return axes.known { table.unpack(x.shape, axis + 1) }
end

-- The axis behind which all are to be normalized or of size 1; nil where the axes are not the last.
local function first_of(shape, list)
  local is_listed, first = {}, nil
  for _, axis in ipairs(list) do
    is_listed[axis] = true
    if not first and shape[axis + 1] ~= 1 then first = axis end
  end
  first = first or list[1]
  for axis = first, #shape - 1 do
    if not is_listed[axis] and shape[axis + 1] ~= 1 then return nil end
  end
  return first
end

local function permute(shape, perm)
  local result = {}
  for i, axis in ipairs(perm) do result[i] = shape[axis + 1] end
  return result
end

local function add_typed(graph, fields, shape)
  local node = assert(graph:add_node(fields))
  node:output(1):set_dtype "float32"
  assert(node:output(1):set_shape(shape))
  return node
end

local function transpose(graph, before, x, perm)
  local fields = { op_type = "Transpose", inputs = { x }, attrs = { perm = perm }, before = before }
  return add_typed(graph, fields, permute(x.shape, perm))
end

local function normalize(graph, op_type, before, x, first, epsilon)
  local scale = assert(graph:add_constant(nil, core.tensor(dims_from(x, first)):fill(1)))
  return add_typed(graph, { op_type = op_type, name = before.name, before = before, inputs = { x, scale },
    attrs = { axis = first - #x.shape, epsilon = epsilon } }, x.shape)
end

-- The permutation that moves the axes to the end, and the one back.
local function to_the_end(list, rank)
  local perm, back, is_listed = {}, {}, {}
  for _, axis in ipairs(list) do is_listed[axis] = true end
  for axis = 0, rank - 1 do
    if not is_listed[axis] then perm[#perm + 1] = axis end
  end
  table.move(list, 1, #list, #perm + 1, perm)
  for i, axis in ipairs(perm) do back[axis + 1] = i - 1 end
  return perm, back
end

-- Whether the dimensions at the axes are numbers.
local function are_known(shape, list)
  for _, axis in ipairs(list) do
    if math.type(shape[axis + 1]) ~= "integer" then return false end
  end
  return true
end

--- Adds what normalizes the float32 tensor x along the axes of the list, in front of `before`: a node of the operator,
--- its scale 1, between two Transposes if the axes are not the last. Returns the last node; nil where a dimension is
--- not known or epsilon no number.
function M.add(graph, op_type, before, x, list, epsilon)
  local shape = x.shape
  if not shape or not list or not epsilon or x.dtype ~= "float32" or not are_known(shape, list) then return nil end
  if not (epsilon >= 0) then return nil end -- luacheck: ignore 581
  local first = first_of(shape, list)
  if first then return dims_from(x, first) and normalize(graph, op_type, before, x, first, epsilon) end
  local perm, back = to_the_end(list, #shape)
  local turned = transpose(graph, before, x, perm):output(1)
  local norm = normalize(graph, op_type, before, turned, #shape - #list, epsilon)
  return transpose(graph, before, norm:output(1), back)
end

--- Lets the readers of `node` read the result of `norm`, times scale and plus bias, values or nil.
function M.take_over(graph, node, norm, scale, bias)
  local result, shape = norm, norm:output(1).shape
  for _, step in ipairs { { "Mul", scale or false }, { "Add", bias or false } } do
    if step[2] then
      local fields = { op_type = step[1], inputs = { result, step[2] }, before = node }
      result = add_typed(graph, fields, shape)
    end
  end
  return pass.supersede(graph, node, result)
end

-- The constant as a tensor of those dimensions; nil where it is not within them.
local function spread(value, dims)
  local t, shape = value.constant, value.constant.shape
  if t.dtype ~= "float32" then return nil end
  while #shape > #dims and shape[1] == 1 do table.remove(shape, 1) end
  if #shape > #dims then return nil end
  for i, d in ipairs(shape) do
    if d ~= 1 and d ~= dims[#dims - #shape + i] then return nil end
  end
  return core.tensor(dims) + t:reshape(shape)
end

-- A normalization of the operator that nothing but what follows reads.
local function normalized(op_type)
  return P[op_type] { P.any "x", P.const "scale", P.opt(P.const "bias") }:as "norm":only_use()
end

local function patterns(op_type)
  return {
    Mul = P.Mul { normalized(op_type), P.const "factor" }:any_order():as "node",
    Div = P.Div { normalized(op_type), P.const "factor" }:as "node",
    Add = P.Add { normalized(op_type), P.const "factor" }:any_order():as "node",
    Sub = P.Sub { normalized(op_type), P.const "factor" }:as "node",
  }
end

local RULES = {
  Mul = function(scale, bias, k) return scale * k, bias and bias * k end,
  Div = function(scale, bias, k) return scale / k, bias and bias / k end,
  Add = function(scale, bias, k) return scale, bias and bias + k or k end,
  Sub = function(scale, bias, k) return scale, bias and bias - k or -k end,
}

-- Lets the normalization take over what follows it.
local function absorb(graph, m)
  local axis, rank, result = pass.attr(m.norm, "axis", "integer"), axes.rank(m.x), m.node:output(1)
  axis = axis and rank and (axis < 0 and axis + rank or axis)
  local dims = axis and axis >= 0 and axis < rank and dims_from(m.x, axis)
  local scale = dims and spread(m.scale, dims)
  local bias = m.bias and scale and spread(m.bias, dims)
  local factor = scale and (not m.bias or bias) and spread(m.factor, dims)
  if not factor or axes.rank(result) ~= rank then return false end
  scale, bias = RULES[m.node.op_type](scale, bias, factor)
  if not scale:isfinite() or (bias and not bias:isfinite()) then return false end
  pass.set_constant(graph, m.norm, 2, scale, "scale")
  if bias then pass.set_constant(graph, m.norm, 3, bias, "bias") end
  return pass.supersede(graph, m.node, m.norm)
end

--- A function that lets the operator's nodes absorb what of these operators ("Mul", "Div", "Add", "Sub") follows them
--- with a constant along the normalized axes: f(graph, node) is true if the node is gone.
function M.absorber(op_type, ops)
  local known = patterns(op_type)
  local mine = {}
  for _, op in ipairs(ops) do mine[op] = known[op] end
  return function(graph, node)
    local m = mine[node.op_type] and P.match(mine[node.op_type], node)
    return m ~= nil and m ~= false and absorb(graph, m)
  end
end

return M
