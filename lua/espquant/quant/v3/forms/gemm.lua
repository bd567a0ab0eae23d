--- Before: Gemm with alpha, beta or transA, or a bias that is no vector of one number per column
--- After:  Gemm(x, alpha * w, beta * b) with a vector b; a Transpose in front for transA
--- Before: Gemm(x, y) of two computed operands    After: MatMul(x, y), Transposes in front, and Add of the bias
local pass = require "espquant.pass"
local core = require "espquant.core"

local function scale(graph, node, i, attribute)
  local factor = pass.attr(node, attribute, "float")
  if not factor or factor == 1 then return false end
  node:set_attr(attribute, nil)
  if not node:input(i) then return true end
  pass.set_constant(graph, node, i, node:input(i).constant * factor, attribute)
  return true
end

local function transpose(graph, node, x, suffix)
  return assert(graph:add_node { op_type = "Transpose", name = node.name ~= "" and node.name .. suffix or nil,
    inputs = { x }, attrs = { perm = { 1, 0 } }, before = node }):output(1)
end

local function turn(graph, node)
  if node:attr "transA" == 0 then return false end
  node:set_attr("transA", nil)
  assert(node:set_input(1, transpose(graph, node, node:input(1), "_transpose")))
  return true
end

-- The bias as one number per column; nil where it is no such thing, or one already.
local function as_row(bias, columns)
  if bias.rank == 1 and bias.count == columns then return nil end
  if bias.count == columns and bias.shape[bias.rank] == columns then return bias:reshape { columns } end
  if bias.count == 1 then return core.tensor { columns } + bias:item() end
end

local function flatten_bias(graph, node, w)
  local bias = node:input(3)
  local row = bias and as_row(bias.constant, w.shape[node:attr "transB" ~= 0 and 1 or 2])
  if not row then return false end
  pass.set_constant(graph, node, 3, row, "bias")
  return true
end

local function is_unit(node)
  return node:attr "alpha" == 1 and (not node:input(3) or node:attr "beta" == 1)
end

local function to_matmul(graph, node)
  if not is_unit(node) then return false end
  local a, b, c = node:input(1), node:input(2), node:input(3)
  if node:attr "transA" ~= 0 then a = transpose(graph, node, a, "_transpose_a") end
  if node:attr "transB" ~= 0 then b = transpose(graph, node, b, "_transpose_b") end
  local made = assert(graph:add_node { op_type = "MatMul", name = node.name, inputs = { a, b }, before = node })
  if c then
    made = assert(graph:add_node { op_type = "Add", name = node.name ~= "" and node.name .. "_bias" or nil,
      inputs = { made:output(1), c }, before = node })
  end
  return pass.supersede(graph, node, made)
end

local function rewrite(graph, node)
  local w, b = node:input(2), node:input(3)
  if w and not w.constant then return to_matmul(graph, node) end
  if not w or w.constant.dtype ~= "float32" or w.constant.rank ~= 2 or b and not b.constant then return false end
  local changed = scale(graph, node, 2, "alpha")
  changed = scale(graph, node, 3, "beta") or changed
  changed = flatten_bias(graph, node, w.constant) or changed
  return turn(graph, node) or changed
end

return pass {
  name = "gemm",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      if node.op_type == "Gemm" and node.domain == "" and rewrite(graph, node) then count = count + 1 end
    end
    return count
  end,
}
