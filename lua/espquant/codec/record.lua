--- The array record: how a byte format hands an array to the C tensor code.
--
--    { dtype = "float32", shape = {2, 3}, data = "<24 bytes>", byteorder = ">", fortran = true }
--
-- `data` holds the elements in C order, little-endian, unless the flags say otherwise: they stand in
-- the record only when they change something (items longer than a byte; a rank of 2 or more).
-- Nothing here touches an element; `espquant.core.tensor_frombytes` does.

local core = require "espquant.core"
local fault = require "espquant.codec.fault"

local M = {}

--- The highest rank that is read.
M.MAX_RANK = 8

--- Bytes per element, by dtype name.
M.itemsize = {
  float16 = 2, float32 = 4, float64 = 8, bool = 1,
  int8 = 1, int16 = 2, int32 = 4, int64 = 8,
  uint8 = 1, uint16 = 2, uint32 = 4, uint64 = 8,
}

--- numpy's short type code, by dtype name ("f4" for float32), and back.
M.code_of, M.dtype_of = {}, {}
for dtype, size in pairs(M.itemsize) do
  local letter = dtype == "bool" and "b" or dtype:match "^u" or dtype:sub(1, 1)
  M.code_of[dtype] = letter .. size
  M.dtype_of[letter .. size] = dtype
end

local why_not = {
  O = "object arrays hold pickled Python objects and are never read; save numbers instead",
  V = "structured or raw records have no tensor form; save one plain array per field",
  U = "text is not a number", S = "text is not a number", a = "text is not a number",
  c = "complex numbers are not supported", g = "long double is not portable; use float64",
  M = "dates are not numbers", m = "durations are not numbers",
}

--- numpy's type code ("f4") to a dtype name; raises a fault naming the code if it is not ours.
function M.dtype(where, code)
  local dtype = M.dtype_of[code]
  if not dtype then
    fault.raise("unsupported", "%s: element type %s: %s (expected one of f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1)",
      where, fault.quote(code), why_not[code:sub(1, 1)] or "unknown type")
  end
  return dtype
end

--- "(2, 3)": a shape as Python prints it.
function M.shape_text(shape)
  return "(" .. table.concat(shape, ", ") .. (#shape == 1 and ",)" or ")")
end

--- Number of bytes that `shape` needs; raises a fault for a bad rank, dimension or product.
function M.byte_count(where, shape, itemsize)
  if #shape > M.MAX_RANK then
    fault.raise("limit", "%s: rank %d, expected at most %d", where, #shape, M.MAX_RANK)
  end
  local bytes, empty = itemsize, false
  for axis, size in ipairs(shape) do
    if size < 0 then
      fault.raise("format", "%s: dimension %d is negative (%d)", where, axis - 1, size)
    elseif size == 0 then
      empty = true
    elseif bytes > math.maxinteger // size then
      fault.raise("limit", "%s: the size of shape %s overflows", where, M.shape_text(shape))
    else
      bytes = bytes * size
    end
  end
  return empty and 0 or bytes
end

--- A checked record; `byteorder` is "<", ">" or nil, `fortran` a boolean or nil.
function M.new(where, dtype, shape, data, byteorder, fortran)
  local itemsize = M.itemsize[dtype]
  local expected = M.byte_count(where, shape, itemsize)
  if expected ~= #data then
    fault.raise("format", "%s: shape %s of %s needs %d bytes, got %d",
      where, M.shape_text(shape), dtype, expected, #data)
  end
  return {
    dtype = dtype, shape = shape, data = data,
    byteorder = itemsize > 1 and byteorder == ">" and ">" or nil,
    fortran = fortran and #shape > 1 or nil,
  }
end

local unpack_code = {
  float32 = "f", float64 = "d", int8 = "i1", int16 = "i2", int32 = "i4", int64 = "i8",
  uint8 = "I1", uint16 = "I2", uint32 = "I4", uint64 = "i8", bool = "I1",
}

--- The elements as Lua numbers (bool: booleans); for scalars and short tables, never for payloads.
-- Returns nil where Lua has no form for them (float16, uint64 above 2^63 - 1).
function M.values(record)
  local code, size = unpack_code[record.dtype], M.itemsize[record.dtype]
  if not code then
    return nil
  end
  local format, values = (record.byteorder or "<") .. code, {}
  for offset = 1, #record.data, size do
    local value = string.unpack(format, record.data, offset)
    if record.dtype == "bool" then
      value = value ~= 0
    elseif record.dtype == "uint64" and value < 0 then
      return nil
    end
    values[#values + 1] = value
  end
  return values
end

--- What a format's `open` returns for a file of one array without a name: of the array's record, or of nil, message,
--- code.
function M.one_array(record, message, code)
  if not record then return nil, message, code end
  local tensor
  tensor, message, code = core.tensor_frombytes(record)
  if not tensor then return nil, message, code end
  return { { tensor = tensor } }
end

return M
