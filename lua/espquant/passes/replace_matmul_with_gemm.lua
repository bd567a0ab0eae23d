--- Before: MatMul(x, w) + bias, x of rank 3 or more, w of rank 2 and bias of shape (N) constant
--- After:  Reshape(x) to (-1, K) -> Gemm(w, bias) -> Reshape to the shape before; without a sum Gemm has no bias
--- For runtimes that have a Gemm with a bias and no MatMul of this rank. It makes three nodes of two, so it runs only
--- when it is named. At most one dimension of x in front of the last is not known.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

-- The target of the Reshape back: dimensions of x, -1 for the one that is not known, and then the columns.
local function target(shape, columns)
  local dims, open = {}, 0
  for i = 1, #shape - 1 do
    local known = math.type(shape[i]) == "integer"
    if known and shape[i] < 1 then return nil end
    dims[i], open = known and shape[i] or -1, open + (known and 0 or 1)
  end
  dims[#shape] = columns
  return open <= 1 and dims or nil
end

local function reshape(graph, node, x, dims)
  local shape = assert(graph:add_constant(nil, core.tensor_from(dims, "int64")))
  return assert(graph:add_node { op_type = "Reshape", inputs = { x, shape }, before = node })
end

local function is_row(bias, columns)
  return bias.dtype == "float32" and bias.rank >= 1 and bias.count == columns and bias.shape[bias.rank] == columns
end

-- Puts the three in place of the node; bias is a value or nil.
local function rewrite(graph, node, m, bias)
  local w, shape = m.w.constant, m.x.shape
  if not shape or #shape < 3 or m.x.dtype ~= "float32" or w.dtype ~= "float32" or w.rank ~= 2 or w.count == 0 then
    return false
  end
  local dims = target(shape, w.shape[2])
  if not dims or (bias and (bias.constant.rank > #shape or not is_row(bias.constant, w.shape[2]))) then return false end
  local rows = reshape(graph, node, m.x, { -1, w.shape[1] }):output(1)
  local gemm = assert(graph:add_node { op_type = "Gemm", name = m.matmul.name, inputs = { rows, m.w, bias },
    before = node })
  if bias and bias.constant.rank ~= 1 then
    pass.set_constant(graph, gemm, 3, bias.constant:reshape { -1 }, "bias")
  end
  return pass.supersede(graph, node, reshape(graph, node, gemm:output(1), dims))
end

local plain = P.MatMul { P.any "x", P.const "w" }:as "matmul"
local sum = P.Add { P.MatMul { P.any "x", P.const "w" }:as "matmul":only_use(), P.const "bias" }:any_order()

return pass {
  name = "replace_matmul_with_gemm",
  run = function(graph)
    local count = 0
    for _, form in ipairs { sum, plain } do
      for _, node in ipairs(graph:node_list()) do
        local m = node.alive and P.match(form, node)
        if m and rewrite(graph, node, m, m.bias) then count = count + 1 end
      end
    end
    return count
  end,
}
