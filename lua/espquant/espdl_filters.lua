--- Filters of an .espdl file in ONNX's order: the reverse of export/espdl_tensor.
---
---     local tensor, why = filters.conv({ raw =, dims =, tensor = }, blocked, group)
---
--- `blocked`: the order of the S3 and the P4, whole blocks of 16 bytes of output channels and then the rest; else that
--- of the plain C kernels. All return nil and the reason where sizes do not fit together.

local core = require "espquant.core"

local M = {}

local function tensor_of(dtype, shape, bytes)
  return core.tensor_frombytes { dtype = dtype, shape = shape, data = bytes }
end

-- n output channels of [c, h, w] from the file's order.
local function dense(entry, blocked, n, c, h, w)
  local dtype = entry.tensor.dtype
  local size = dtype == "int8" and 1 or 2
  local block, each = blocked and 16 // size or n + 1, c * h * w * size
  local whole = n // block * block
  local parts = {}
  if whole > 0 then
    local t = tensor_of(dtype, { whole // block, h, w, c, block }, entry.raw:sub(1, whole * each))
    parts[1] = t:transpose { 0, 4, 3, 1, 2 }:reshape { whole, c, h, w }
  end
  if whole < n then
    local t = tensor_of(dtype, { n - whole, h, w, c }, entry.raw:sub(whole * each + 1, n * each))
    parts[#parts + 1] = t:transpose { 0, 3, 1, 2 }
  end
  return #parts == 1 and parts[1] or assert(core.concat(parts, 0))
end

-- A filter of one input channel for each of n output channels.
local function depthwise(entry, blocked, n, h, w)
  local dtype = entry.tensor.dtype
  local size = dtype == "int8" and 1 or 2
  local block, each = blocked and 16 // size or n + 1, h * w * size
  local whole = n // block * block
  local parts = {}
  if whole > 0 then
    local t = tensor_of(dtype, { whole // block, h, w, block }, entry.raw:sub(1, whole * each))
    parts[1] = t:transpose { 0, 3, 1, 2 }:reshape { whole, 1, h, w }
  end
  if whole < n then
    local t = tensor_of(dtype, { h, w, n - whole }, entry.raw:sub(whole * each + 1, n * each))
    parts[#parts + 1] = t:transpose { 2, 0, 1 }:reshape { n - whole, 1, h, w }
  end
  return #parts == 1 and parts[1] or assert(core.concat(parts, 0))
end

local function is_filter(entry)
  return entry.tensor.dtype == "int8" or entry.tensor.dtype == "int16"
end

--- dims [h, w, c, n] or [w, c, n]; of groups [h, w, n, 1].
function M.conv(entry, blocked, group)
  local dims = entry.dims
  if not is_filter(entry) or #dims < 3 or #dims > 4 or entry.tensor.count == 0 then
    return nil, "its filter has no possible type or shape"
  end
  local flat = #dims == 3
  local h, w = flat and 1 or dims[1], dims[#dims - 2]
  local c, n = dims[#dims - 1], dims[#dims]
  local made
  if group > 1 then
    if n ~= 1 or c ~= group then return nil, "its filter has another number of channels than it has groups" end
    made, n, c = depthwise(entry, blocked, c, h, w), c, 1
  else
    made = dense(entry, blocked, n, c, h, w)
  end
  return flat and made:reshape { n, c, w } or made
end

--- dims [1, 1, c, n]; the result is [n, c].
function M.gemm(entry, blocked)
  local dims = entry.dims
  if not is_filter(entry) or #dims ~= 4 or dims[1] ~= 1 or dims[2] ~= 1 or entry.tensor.count == 0 then
    return nil, "its weight has no possible type or shape"
  end
  return dense(entry, blocked, dims[4], dims[3], 1, 1):reshape { dims[4], dims[3] }
end

--- dims [..., c, n], each matrix packed; the result has the same shape.
function M.matrices(entry, blocked)
  local dims = entry.dims
  if not is_filter(entry) or #dims < 2 or entry.tensor.count == 0 then
    return nil, "its right operand has no possible type or shape"
  end
  local c, n, parts = dims[#dims - 1], dims[#dims], {}
  local bytes = c * n * (entry.tensor.dtype == "int8" and 1 or 2)
  for i = 1, entry.tensor.count // (c * n) do
    local one = { raw = entry.raw:sub((i - 1) * bytes + 1, i * bytes), tensor = entry.tensor }
    parts[i] = dense(one, blocked, n, c, 1, 1):reshape { n, c }:transpose { 1, 0 }:reshape { 1, c, n }
  end
  return assert(core.concat(parts, 0)):reshape(dims)
end

return M
