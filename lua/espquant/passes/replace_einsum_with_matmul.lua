--- Before: Einsum(a, b), "...ij,...jk->...ik"    After: MatMul(a, b)
--- Before: Einsum(a, b), "...ij,...kj->...ik"    After: MatMul(a, Transpose(b))
--- Each letter of "..." an axis that both have in front, in the same order.
local P, pass = require "espquant.pattern", require "espquant.pass"

-- The operands and the result of "ab,bc->ac" as texts; nil for every other form.
local function split(equation)
  if type(equation) ~= "string" then return nil end
  return equation:gsub("%s", ""):match "^(%a+),(%a+)%->(%a+)$"
end

-- "matmul", "transposed", or nil. Letters of one operand differ.
local function kind(equation)
  local a, b, y = split(equation)
  if not a or #a < 2 or #a ~= #b or #a ~= #y then return nil end
  local front, i, j = a:sub(1, -3), a:sub(-2, -2), a:sub(-1)
  for n = 1, #a do
    if a:find(a:sub(n, n), n + 1, true) then return nil end
  end
  local k = y:sub(-1)
  if a:find(k, 1, true) or y ~= front .. i .. k then return nil end
  return b == front .. j .. k and "matmul" or b == front .. k .. j and "transposed" or nil
end

local function swapped(rank)
  local perm = {}
  for i = 1, rank do perm[i] = i - 1 end
  perm[rank - 1], perm[rank] = perm[rank], perm[rank - 1]
  return perm
end

return pass {
  name = "replace_einsum_with_matmul",
  match = P.Einsum { P.any "a", P.any "b" }:as "node",
  rewrite = function(graph, m)
    local form, b = kind(m.node:attr "equation"), m.b
    if not form then return false end
    if form == "transposed" then
      local rank = #split(m.node:attr "equation")
      b = assert(graph:add_node {
        op_type = "Transpose", inputs = { b }, attrs = { perm = swapped(rank) }, before = m.node,
      }):output(1)
    end
    local matmul = assert(graph:add_node {
      op_type = "MatMul", name = m.node.name, inputs = { m.a, b }, before = m.node,
    })
    return pass.supersede(graph, m.node, matmul)
  end,
}
