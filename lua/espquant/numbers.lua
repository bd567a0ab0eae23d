--- Numbers in a graph: float32 constants of one element, the sums, products and bounds that are made of them, and what
--- is computed with them from one tensor. Activations are often spelled out so.

local pattern = require "espquant.pattern"

local M = {}

-- No spelling of an activation has more nodes or a higher power.
local MOST_NODES, MOST_DEGREE = 12, 3

--- The number of a float32 constant of one element, of any rank; nil for every other value.
function M.of(value)
  local t = value and value.constant
  return t and t.dtype == "float32" and t.count == 1 and t:item() or nil
end

--- Whether two numbers are the same for float32.
function M.near(a, b) return math.abs(a - b) <= 1e-6 * math.max(math.abs(a), math.abs(b)) end

--- A pattern: a constant that is that number.
function M.is(wanted)
  return pattern.const():where(function(value)
    local number = M.of(value)
    return number ~= nil and M.near(number, wanted)
  end)
end

--- Whether both are float32 tensors of one rank: with constants of one element in between, of one shape.
function M.same_form(x, result)
  local a, b = x.shape, result.shape
  return x.dtype == "float32" and a ~= nil and b ~= nil and #a == #b
end

-- The node of one of these operators that makes the value.
local function maker(value, ops)
  local node = value.producer
  return node and node.domain == "" and ops[node.op_type] and node or nil
end

local PRODUCT = { Mul = true, Div = true }

--- The node's result as number * a * b ...: the number and the list of the others. Products and quotients by a number
--- with one reader are taken apart.
function M.product(node)
  local number, factors, work, count = 1.0, {}, { node:output(1) }, 0
  while #work > 0 do
    local value = table.remove(work)
    local own = (count == 0 or value:use_count() == 1) and count < MOST_NODES and maker(value, PRODUCT)
    local constant = M.of(value)
    local divisor = own and own.op_type == "Div" and M.of(own:input(2))
    if constant then number = number * constant
    elseif own and divisor and divisor ~= 0 then number, work[#work + 1] = number / divisor, own:input(1)
    elseif own and own.op_type == "Mul" then
      work[#work + 1], work[#work + 2] = own:input(2), own:input(1)
    else factors[#factors + 1] = value end
    count = count + 1
  end
  return number, factors
end

-- --- polynomials: lists of factors, [n] belonging to x ^ n ---------------------------------------------------------

local function sum(a, b, sign)
  local result = {}
  for n = 0, MOST_DEGREE do result[n] = a[n] + sign * b[n] end
  return result
end

local function times(a, b)
  local result = {}
  for n = 0, 2 * MOST_DEGREE do result[n] = 0.0 end
  for i = 0, MOST_DEGREE do
    for j = 0, MOST_DEGREE do result[i + j] = result[i + j] + a[i] * b[j] end
  end
  for n = MOST_DEGREE + 1, 2 * MOST_DEGREE do
    if result[n] ~= 0 then return nil end
    result[n] = nil
  end
  return result
end

local function single(power, factor)
  local result = {}
  for n = 0, MOST_DEGREE do result[n] = n == power and factor or 0.0 end
  return result
end

local function power(a, exponent)
  local result = single(0, 1.0)
  for _ = 1, exponent do result = result and times(result, a) end
  return result
end

local RULES = {
  Add = function(a, b) return sum(a, b, 1) end,
  Sub = function(a, b) return sum(a, b, -1) end,
  Mul = times,
  Div = function(a, _, number) return number and number ~= 0 and times(a, single(0, 1 / number)) end,
  Pow = function(a, _, number) return (number == 2 or number == 3) and power(a, number) end,
}

local function expand(value, x, budget)
  if value == x then return single(1, 1.0) end
  local number = M.of(value)
  if number then return single(0, number) end
  local node = value:use_count() == 1 and budget.left > 0 and maker(value, RULES)
  if not node then return nil end
  budget.left = budget.left - 1
  local a = expand(node:input(1), x, budget)
  local b = a and expand(node:input(2), x, budget)
  return b and RULES[node.op_type](a, b, M.of(node:input(2))) or nil
end

--- The value as a polynomial of x: { [0] =, [1] =, [2] =, [3] = }, or nil. All between x and the value has one reader.
function M.polynomial(value, x) return expand(value, x, { left = MOST_NODES }) end

--- Whether the value is that polynomial of x: a table power -> factor, absent ones 0.
function M.is_polynomial(value, x, wanted)
  local p = M.polynomial(value, x)
  for n = 0, p and MOST_DEGREE or -1 do
    if not M.near(p[n], wanted[n] or 0) then return false end
  end
  return p ~= nil
end

--- The value as slope * x + shift: x, slope and shift, x being the first tensor on the way up that is no such sum or
--- product, or has another reader. The value itself, 1 and 0 where it is none.
function M.affine(value)
  local x = value
  for _ = 1, MOST_NODES do
    local node = x:use_count() == 1 and maker(x, RULES)
    local first, second = node and node:input(1), node and node:input(2)
    if node and M.of(second) and node.op_type ~= "Pow" then x = first
    elseif node and M.of(first) and node.op_type ~= "Pow" and node.op_type ~= "Div" then x = second
    else break end
  end
  local p = M.polynomial(value, x)
  if p then return x, p[1], p[0] end
  return value, 1.0, 0.0
end

-- --- bounds --------------------------------------------------------------------------------------------------------

-- A bound of a Clip, an input or, before opset 11, an attribute; nil where it is not known.
local function bound(clip, i, attribute, default)
  local number = clip:has_attr(attribute) and clip:attr(attribute) or default
  if clip:input(i) then number = M.of(clip:input(i)) end
  return math.type(number) == "float" and number or nil
end

--- What the node limits, and from where to where: of Relu, Clip, and Max and Min with a number. Nil for every other,
--- and where a bound is not known.
function M.limits(node)
  if node.domain ~= "" then return nil end
  local x = node:input(1)
  if node.op_type == "Relu" then return x, 0.0, math.huge end
  if node.op_type == "Clip" then
    local low, high = bound(node, 2, "min", -math.huge), bound(node, 3, "max", math.huge)
    if low and high then return x, low, high end
    return nil
  end
  if (node.op_type ~= "Max" and node.op_type ~= "Min") or #node.inputs ~= 2 then return nil end
  local number = M.of(node:input(2))
  if not number then x, number = node:input(2), M.of(x) end
  if not number then return nil end
  if node.op_type == "Max" then return x, number, math.huge end
  return x, -math.huge, number
end

return M
