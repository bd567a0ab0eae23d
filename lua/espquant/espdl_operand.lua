--- The right operand of a MatMul that the file brings into the order of a filter while it runs (export/espdl_matmul):
--- back into ONNX's order, for the simulation.
---
---     local value = operand.unpack(add, b, blocked)
---
--- `add(op_type, inputs, attrs)` adds a node to the graph and returns its first output, quantized as b is and of known
--- shape; constants among the inputs are lists of integers.

local M = {}

local function order(rank, ...)
  local perm, last = {}, { ... }
  for k = 1, rank do perm[k] = k - 1 end
  for k, axis in ipairs(last) do perm[rank - #last + k] = axis + rank end
  return perm
end

local function with(shape, ...)
  local list, tail = {}, { ... }
  for k = 1, #shape - 2 do list[k] = shape[k] end
  return table.move(tail, 1, #tail, #list + 1, list)
end

-- Blocks of N, each with C rows: [..., n / block, C, block] becomes [..., C, n].
local function blocks(add, x, shape, c, n, block)
  local y = add("Reshape", { x, with(shape, n // block, c, block) })
  y = add("Transpose", { y }, { perm = order(#shape + 1, -2, -3, -1) })
  return add("Reshape", { y, with(shape, c, n) })
end

-- [..., n, C] becomes [..., C, n].
local function rows(add, x, shape, c, n)
  local y = add("Reshape", { x, with(shape, n, c) })
  return add("Transpose", { y }, { perm = order(#shape, -1, -2) })
end

--- The operand in ONNX's order. b: the packed one, whose shape is that of the matrices.
function M.unpack(add, b, blocked)
  local shape, block = b.shape, b.dtype == "int8" and 16 or 8
  local c, n, rank = shape[#shape - 1], shape[#shape], #shape
  if not blocked then return rows(add, b, shape, c, n) end
  local whole = n // block * block
  if whole == n then return blocks(add, b, shape, c, n, block) end
  if whole == 0 then return rows(add, b, shape, c, n) end
  local flat = add("Reshape", { b, with(shape, 1, n * c) })
  local first = add("Slice", { flat, { 0 }, { whole * c }, { rank - 1 } })
  local last = add("Slice", { flat, { whole * c }, { n * c }, { rank - 1 } })
  return add("Concat", { blocks(add, first, shape, c, whole, block), rows(add, last, shape, c, n - whole) },
    { axis = rank - 1 })
end

return M
