--- Before: Transpose(x) -> Reshape or Flatten to N,K -> MatMul or Gemm with constant weights
--- After:  Reshape or Flatten of x, the weights' rows in the order of x
--- The Transpose leaves axis 0 in place; the other dimensions are known.
local P, pass = require "espquant.pattern", require "espquant.pass"

local flattens = { Flatten = true, Reshape = true }

-- The permutation and the dimensions behind the batch, before it; nil where something does not fit.
local function order_of(transpose)
  local perm, shape = pass.attr(transpose, "perm", "integers"), transpose:input(1).shape
  if not perm or not shape or #perm ~= #shape or #perm < 3 or perm[1] ~= 0 then return nil end
  local dims, seen, count = {}, { [0] = true }, 1
  for j = 2, #perm do
    local axis, d = perm[j], shape[perm[j] + 1]
    if seen[axis] or math.type(d) ~= "integer" or d < 1 then return nil end
    seen[axis], dims[j - 1], count = true, d, count * d
  end
  return perm, dims, count
end

-- Whether the node turns N,... into N,K.
local function keeps_rows(flat, count)
  local shape = flat:output(1).shape
  if not shape or #shape ~= 2 or shape[2] ~= count then return false end
  if flat.op_type == "Flatten" then return flat:attr "axis" == 1 end
  local t = flat:input(2).constant
  return t ~= nil and t.dtype == "int64" and t.count == 2
end

-- Rows in the order of what stands before the Transpose.
local function reorder(w, perm, dims, transposed)
  local back = {}
  for j = 2, #perm do back[perm[j]] = j - 2 end
  local rows = transposed and w:transpose { 1, 0 } or w
  local shape, order, columns = { table.unpack(dims) }, { table.unpack(back) }, rows.shape[2]
  shape[#shape + 1], order[#order + 1] = columns, #dims
  local moved = rows:reshape(shape):transpose(order):reshape { -1, columns }
  return transposed and moved:transpose { 1, 0 } or moved
end

local function fuse(graph, node)
  local is_gemm = node.op_type == "Gemm"
  if is_gemm and node:attr "transA" ~= 0 then return false end
  local flat, weight = node:input(1).producer, node:input(2)
  local w = weight and weight.constant
  if not flat or not flattens[flat.op_type] or flat.domain ~= "" or not w or w.rank ~= 2 then return false end
  local transpose = flat:input(1).producer
  if not transpose or not P.match(P.Transpose { P.any() }, transpose) then return false end
  if node:input(1):use_count() ~= 1 or flat:input(1):use_count() ~= 1 then return false end
  local perm, dims, count = order_of(transpose)
  local transposed = is_gemm and node:attr "transB" ~= 0
  if not perm or not keeps_rows(flat, count) or w.shape[transposed and 2 or 1] ~= count then return false end
  pass.set_constant(graph, node, 2, reorder(w, perm, dims, transposed), "weight")
  assert(flat:set_input(1, transpose:input(1)))
  pass.release(graph, transpose)
  return true
end

return pass {
  name = "fuse_transpose_into_flattened_gemm",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local is_product = node.alive and node.domain == "" and (node.op_type == "Gemm" or node.op_type == "MatMul")
      if is_product and fuse(graph, node) then count = count + 1 end
    end
    return count
  end,
}
