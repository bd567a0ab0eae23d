--- Tensors of an .espdl file as tensors of ours.
---
---     local tensor, why = tensors.read(t)      -- t: a Tensor of codec/espdl_schema

local core = require "espquant.core"
local schema = require "espquant.codec.espdl_schema"

local M = {}

local DTYPES = {}
for i, name in ipairs(schema.enums.TensorDataType) do DTYPES[i - 2] = name:lower() end
DTYPES[1], DTYPES[11] = "float32", "float64"

local SIZES = { int8 = 1, uint8 = 1, bool = 1, int16 = 2, uint16 = 2, int32 = 4, uint32 = 4, float32 = 4, int64 = 8,
  uint64 = 8, float64 = 8, float16 = 2 }

--- The name of a data type's number; nil: none that we have.
function M.dtype(number) return DTYPES[number or 0] end

--- Bits of an element of that name; nil for what is none.
function M.bits(dtype) return dtype and SIZES[dtype] and SIZES[dtype] * 8 end

--- The number of elements, or nil for a shape that is none.
function M.count(dims)
  local count = 1
  for _, d in ipairs(dims) do
    if d < 0 or d > 1 << 31 or count * d > 1 << 31 then return nil end
    count = count * d
  end
  return count
end

--- The tensor, or nil and the reason where its parts do not fit together.
function M.read(t)
  local name, dims, dtype = t.name or "", t.dims or {}, DTYPES[t.data_type or 0]
  local count, size = M.count(dims), SIZES[dtype]
  if not size then return nil, ("'%s' has the data type %s"):format(name, tostring(dtype or t.data_type)) end
  if not count or #dims > 8 then return nil, ("'%s' has no possible shape"):format(name) end
  local raw = t.raw_data or ""
  if #raw < count * size then
    return nil, ("'%s' has %d bytes, its shape wants %d"):format(name, #raw, count * size)
  end
  local made, message = core.tensor_frombytes { dtype = dtype, shape = dims, data = raw:sub(1, count * size) }
  if not made then return nil, ("'%s': %s"):format(name, message) end
  return made
end

return M
