--- Before: Einsum(x, w), w constant, "abcd,cde->abe"    After: Reshape(x) to (a,b,cd) -> MatMul(w) [-> Reshape]
--- The last axes of x are summed with the first of w, in the same order; those that stay keep theirs. A Reshape in
--- front where several are summed, one behind where w has several left. Keras' MultiHeadAttention multiplies so.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

-- How many axes x keeps, how many are summed, and how many are left of w; nil for every other equation.
local function split(equation)
  if type(equation) ~= "string" then return nil end
  local x, w, y = equation:gsub("%s", ""):match "^(%a+),(%a+)%->(%a+)$"
  if not x then return nil end
  for summed = 1, math.min(#x, #w) - 1 do
    local kept, left = x:sub(1, -summed - 1), w:sub(summed + 1)
    local letters, distinct = x .. left, {}
    for letter in letters:gmatch "%a" do distinct[letter] = true end
    for _ in pairs(distinct) do letters = letters:sub(2) end
    if w == x:sub(-summed) .. left and y == kept .. left and letters == "" then return #kept, summed, #left end
  end
end

-- The product of the dimensions i to k.
local function count(shape, i, k)
  local n = 1
  for j = i, k do n = n * shape[j] end
  return n
end

-- The target that keeps the first axes and has these dimensions behind them.
local function target(graph, kept, dims)
  local list = {}
  for i = 1, kept do list[i] = 0 end
  table.move(dims, 1, #dims, kept + 1, list)
  return assert(graph:add_constant(nil, core.tensor_from(list, "int64")))
end

return pass {
  name = "replace_dense_einsum",
  match = P.Einsum { P.any "x", P.const "w" }:as "node",
  rewrite = function(graph, m)
    local kept, summed, left = split(m.node:attr "equation")
    local w, x = m.w.constant, m.x
    if not kept or w.rank ~= summed + left or w.count == 0 or w.dtype ~= "float32" then return false end
    local rows, columns = count(w.shape, 1, summed), { table.unpack(w.shape, summed + 1) }
    if summed > 1 then
      x = assert(graph:add_node { op_type = "Reshape", inputs = { x, target(graph, kept, { rows }) }, before = m.node })
    end
    local last = assert(graph:add_node { op_type = "MatMul", name = m.node.name, inputs = { x, m.w },
      before = m.node })
    if w.rank ~= 2 then pass.set_constant(graph, last, 2, w:reshape { rows, -1 }, "weight") end
    if left > 1 then
      last = assert(graph:add_node { op_type = "Reshape", inputs = { last, target(graph, kept, columns) },
        before = m.node })
    end
    return pass.supersede(graph, m.node, last)
  end,
}
