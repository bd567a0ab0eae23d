--- Before: Reshape(x) to (-1, K) -> MatMul(w) -> Reshape to the shape of x, but with N columns    After: MatMul(x, w)
--- w is constant and of rank 2, the last dimension of x is K; nobody else reads what lies between.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

-- Whether the result has the shape of x but for the last axis. Of the others one may be open: what it is follows.
local function has_rows_of(x, result)
  local a, b, open = x.shape, result.shape, 0
  if not a or not b or #a ~= #b or #a < 3 then return false end
  for i = 1, #a - 1 do
    local known = math.type(a[i]) == "integer" and math.type(b[i]) == "integer"
    if known and (a[i] ~= b[i] or a[i] == 0) then return false end
    if not known then open = open + 1 end
  end
  return open <= 1
end

return pass {
  name = "eliminate_reshapes_around_matmul",
  match = P.Reshape {
    P.MatMul { P.Reshape { P.any "x", P.any() }:only_use(), P.const "w" }:as "matmul":only_use(), P.const(),
  }:as "node",
  rewrite = function(graph, m)
    local w, shape, result = m.w.constant, m.x.shape, m.node:output(1)
    if w.rank ~= 2 or axes.rank(m.matmul:input(1)) ~= 2 or not has_rows_of(m.x, result) then return false end
    if shape[#shape] ~= w.shape[1] or result.shape[#shape] ~= w.shape[2] or w.count == 0 then return false end
    local matmul = assert(graph:add_node { op_type = "MatMul", name = m.matmul.name, inputs = { m.x, m.w },
      before = m.node })
    return pass.supersede(graph, m.node, matmul)
  end,
}
