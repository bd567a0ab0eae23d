--- Before: x + 0, x - 0, x * 1, x / 1, x ^ 1, x and true, x or false    After: x
--- The constant must not broadcast x to another shape.
local P, pass = require "espquant.pattern", require "espquant.pass"

local UNITS = { Add = 0, Sub = 0, Mul = 1, Div = 1, Pow = 1, And = 1, Or = 0 }
local COMMUTES = { Add = true, Mul = true, And = true, Or = true }
local OPS = {}
for op in pairs(UNITS) do OPS[#OPS + 1] = op end

local function is_filled_with(t, number)
  if t.count == 0 then return false end
  t = t:astype "float32"
  return t:min() == number and t:max() == number
end

-- Whether a tensor of the shape `other` leaves `shape` as it is.
local function is_within(other, shape)
  if not shape or #other > #shape then return false end
  for i, d in ipairs(other) do
    if d ~= 1 and d ~= shape[#shape - #other + i] then return false end
  end
  return true
end

-- The operand that the node passes on when operand i is the constant.
local function passed(node, i)
  local c, x = node:input(i), node:input(3 - i)
  local t = c and c.constant
  if not t or not x or not is_filled_with(t, UNITS[node.op_type]) then return nil end
  return x.dtype == t.dtype and is_within(t.shape, x.shape) and x or nil
end

return pass {
  name = "eliminate_nop_with_unit",
  match = P.one_of(OPS, { P.any(), P.any() }):as "node",
  rewrite = function(graph, m)
    local x = passed(m.node, 2) or (COMMUTES[m.node.op_type] and passed(m.node, 1))
    return x ~= nil and x ~= false and pass.replace(graph, m.node, x)
  end,
}
