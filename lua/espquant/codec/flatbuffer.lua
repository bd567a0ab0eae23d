--- FlatBuffers by a schema that is data (codec/espdl_schema): bytes to Lua tables, and back.
--
-- A table becomes a Lua table of its present fields; scalars at their default 0 are absent, as in the file. A vector of
-- scalars is a list, but a vector of bytes or of 16-byte blocks is a string; a union field holds the member's table,
-- and the tag stands in the field before it, as in the schema.
--
-- The reader trusts no offset: every reference, vtable, length and alignment is checked against the buffer. Tables may
-- be shared, so a few bytes could mean endless work: all that is read may have at most MAX_WORK elements, a table
-- counting as TABLE_WORK of them, and tables nest at most MAX_DEPTH deep.
--
--    local model, message, code = flatbuffer.decode(schema, bytes)       local bytes = flatbuffer.encode(schema, model)

local fault = require "espquant.codec.fault"

local M = {}

local MAX_DEPTH, MAX_WORK, TABLE_WORK = 64, 1 << 24, 16
local unpack, pack = string.unpack, string.pack

-- --- reading --------------------------------------------------------------------------------------------------------

local function fail(format, ...) fault.raise("format", "flatbuffer: " .. format, ...) end

-- Raises unless `size` bytes from offset `at` (0-based) lie inside, aligned.
local function inside(r, at, size, align, what)
  if at < 0 or size > #r.bytes or at > #r.bytes - size then
    fail("byte %d: %s of %d bytes lies outside of %d bytes", at, what, size, #r.bytes)
  end
  if at % align ~= 0 then fail("byte %d: %s is not aligned to %d bytes", at, what, align) end
end

local function read_u32(r, at, what)
  inside(r, at, 4, 4, what)
  return (unpack("<I4", r.bytes, at + 1))
end

-- Where the reference at `at` points.
local function follow(r, at, what)
  local distance = read_u32(r, at, what)
  if distance == 0 or distance > #r.bytes - at then fail("byte %d: %s refers outside of the buffer", at, what) end
  return at + distance
end

local function work(r, amount)
  r.work = r.work + amount
  if r.work > MAX_WORK then fault.raise("limit", "flatbuffer: more than %d elements", MAX_WORK) end
end

-- The scalar that a scalar or an enum is stored as, or nil.
local function scalar_of(schema, name)
  local enum = schema.enums[name]
  return schema.scalars[enum and enum[1] or name]
end

local read_table

-- Start and count of the vector that the reference at `at` points to.
local function vector(r, at, size, align, what)
  local start = follow(r, at, what)
  local count = read_u32(r, start, what)
  if count > #r.bytes // size then fail("byte %d: %s has %d elements, more than the buffer", start, what, count) end
  inside(r, start + 4, count * size, 1, what)
  if count > 0 and (start + 4) % align ~= 0 then
    fail("byte %d: %s is not aligned to %d bytes", start + 4, what, align)
  end
  work(r, count)
  return start + 4, count
end

local function read_string(r, at, what)
  local start, count = vector(r, at, 1, 1, what)
  return r.bytes:sub(start + 1, start + count)
end

local function read_scalars(r, at, scalar, what)
  local start, count = vector(r, at, scalar[2], scalar[2], what)
  local list, code = {}, "<" .. scalar[1]
  for i = 1, count do list[i] = unpack(code, r.bytes, start + (i - 1) * scalar[2] + 1) end
  return list
end

local function read_references(r, at, kind, depth, what)
  local start, count = vector(r, at, 4, 4, what)
  local list = {}
  for i = 1, count do
    local entry = start + (i - 1) * 4
    list[i] = kind == "string" and read_string(r, entry, what)
      or kind ~= "string" and read_table(r, follow(r, entry, what), kind, depth + 1)
  end
  return list
end

local function read_vector(r, at, kind, depth, what)
  local struct, scalar = r.schema.structs[kind], scalar_of(r.schema, kind)
  if struct then
    local size = r.schema.scalars[struct[1]][2] * struct[3]
    local start, count = vector(r, at, size, struct[4], what)
    return r.bytes:sub(start + 1, start + count * size)
  end
  if kind == "uint8" then return read_string(r, at, what) end
  if scalar then return read_scalars(r, at, scalar, what) end
  return read_references(r, at, kind, depth, what)
end

local function read_struct(r, at, struct, what)
  local scalar = r.schema.scalars[struct[1]]
  inside(r, at, scalar[2] * struct[3], struct[4], what)
  return (unpack("<" .. scalar[1], r.bytes, at + 1))
end

local function read_union(r, at, union, tag, depth, what)
  local member = r.schema.unions[union][tag or 0]
  if not member then fail("byte %d: %s has tag %s, which %s does not have", at, what, tostring(tag), union) end
  return read_table(r, follow(r, at, what), member, depth + 1)
end

local function read_field(r, at, kind, tag, depth, what)
  if type(kind) == "table" then
    if kind.union then return read_union(r, at, kind.union, tag, depth, what) end
    return read_vector(r, at, kind[1], depth, what)
  end
  local scalar, struct = scalar_of(r.schema, kind), r.schema.structs[kind]
  if scalar then
    inside(r, at, scalar[2], scalar[2], what)
    return (unpack("<" .. scalar[1], r.bytes, at + 1))
  end
  if struct then return read_struct(r, at, struct, what) end
  if kind == "string" then return read_string(r, at, what) end
  return read_table(r, follow(r, at, what), kind, depth + 1)
end

-- The offsets of a table's fields in it: a checked vtable.
local function read_vtable(r, at, name)
  inside(r, at, 4, 4, name)
  local vtable = at - unpack("<i4", r.bytes, at + 1)
  inside(r, vtable, 4, 2, "the vtable of " .. name)
  local size, table_size = unpack("<I2I2", r.bytes, vtable + 1)
  inside(r, vtable, size, 2, "the vtable of " .. name)
  inside(r, at, table_size, 1, name)
  if size < 4 or table_size < 4 then fail("byte %d: the vtable of %s is too small", vtable, name) end
  return vtable, (size - 4) // 2, table_size
end

function read_table(r, at, name, depth)
  if depth > MAX_DEPTH then fault.raise("limit", "flatbuffer: tables nested deeper than %d", MAX_DEPTH) end
  work(r, TABLE_WORK)
  local vtable, count, size = read_vtable(r, at, name)
  local result, previous = {}, nil
  for id, field in ipairs(r.schema.tables[name]) do
    local offset = id <= count and unpack("<I2", r.bytes, vtable + 4 + (id - 1) * 2 + 1) or 0
    if offset >= size then fail("byte %d: field %s.%s lies outside of its table", at, name, field[1]) end
    local value
    if offset > 0 then value = read_field(r, at + offset, field[2], previous, depth, name .. "." .. field[1]) end
    result[field[1]], previous = value, value
  end
  return result
end

local function decode(schema, bytes)
  local r = { schema = schema, bytes = bytes, work = 0 }
  return read_table(r, follow(r, 0, "the root"), schema.root, 1)
end

--- The root table of a buffer; nil, message, code.
function M.decode(schema, bytes)
  fault.expect_string(bytes, "decode")
  return fault.catch(decode, schema, bytes)
end

-- --- writing --------------------------------------------------------------------------------------------------------
--
-- Objects are placed in the order in which they are reached, parents before children, since references point forward
-- only; strings come last, each distinct one once, and a vtable before the first table that needs it. A part of an
-- object is bytes, or a reference that is known when all is placed.

local function align(at, to) return (at + to - 1) // to * to end

-- Size and alignment of a field in its table.
local function field_size(schema, kind)
  local struct = schema.structs[kind]
  if struct then return schema.scalars[struct[1]][2] * struct[3], struct[4] end
  local scalar = type(kind) == "string" and scalar_of(schema, kind)
  return scalar and scalar[2] or 4, scalar and scalar[2] or 4
end

-- Whether a field need not be written: absent, or a scalar at its default.
local function is_default(schema, kind, value)
  return value == nil or (value == 0 and type(kind) == "string" and not schema.structs[kind])
end

-- The present fields of a table by offset, large ones first, so that there are no gaps: {id, offset}; size, alignment
-- and the highest id.
local function lay_out(schema, name, value)
  local fields, at, alignment, highest = {}, 4, 4, 0
  for id, field in ipairs(schema.tables[name]) do
    if not is_default(schema, field[2], value[field[1]]) then
      local size, own = field_size(schema, field[2])
      fields[#fields + 1], highest, alignment = { id = id, size = size, align = own }, id, math.max(alignment, own)
    end
  end
  table.sort(fields, function(a, b) return a.align > b.align or a.align == b.align and a.id < b.id end)
  for _, f in ipairs(fields) do
    f.offset = align(at, f.align)
    at = f.offset + f.size
  end
  return fields, at, alignment, highest
end

-- An object of `size` bytes whose byte number `skip` is aligned.
local function place(w, size, alignment, skip)
  local at = align(align(w.at, 4) + skip, alignment) - skip
  local object = { at = at }
  w.objects[#w.objects + 1], w.at = object, at + size
  return object
end

local place_target

-- What stands for a reference at byte `own`: bytes now, or later for a string.
local function reference(w, own, kind, value)
  if kind == "string" then
    if not w.strings[value] then
      w.strings[value] = true
      w.texts[#w.texts + 1] = value
    end
    return { own = own, text = value }
  end
  return pack("<I4", place_target(w, kind, value) - own)
end

local function place_bytes(w, bytes, alignment, count)
  local object = place(w, 4 + #bytes, alignment, 4)
  object[1], object[2] = pack("<I4", count), bytes
  return object.at
end

local function place_references(w, list, kind)
  local object = place(w, 4 + 4 * #list, 4, 0)
  object[1] = pack("<I4", #list)
  for i, entry in ipairs(list) do object[i + 1] = reference(w, object.at + 4 * i, kind, entry) end
  return object.at
end

local function place_vector(w, kind, value)
  local struct, scalar = w.schema.structs[kind], scalar_of(w.schema, kind)
  if struct then
    local size = w.schema.scalars[struct[1]][2] * struct[3]
    return place_bytes(w, value .. ("\0"):rep(-#value % size), struct[4], (#value + size - 1) // size)
  end
  if kind == "uint8" then return place_bytes(w, value, 4, #value) end
  if not scalar then return place_references(w, value, kind) end
  local parts, code = {}, "<" .. scalar[1]
  for i, x in ipairs(value) do parts[i] = pack(code, x) end
  return place_bytes(w, table.concat(parts), math.max(scalar[2], 4), #value)
end

local function place_vtable(w, fields, highest, size)
  local words = {}
  for id = 1, highest do words[id] = 0 end
  for _, f in ipairs(fields) do words[f.id] = f.offset end
  local bytes = pack("<I2I2" .. ("I2"):rep(highest), 4 + 2 * highest, size, table.unpack(words))
  if not w.vtables[bytes] then
    local object = place(w, #bytes, 4, 0)
    object[1], w.vtables[bytes] = bytes, object.at
  end
  return w.vtables[bytes]
end

-- The kind that a field's reference points to; of a union, by the tag before it.
local function target_of(schema, name, id, value)
  local kind = schema.tables[name][id][2]
  if type(kind) ~= "table" or not kind.union then return kind end
  return schema.unions[kind.union][value[schema.tables[name][id - 1][1]]]
end

local function field_bytes(w, name, value, id, own)
  local field = w.schema.tables[name][id]
  local struct = w.schema.structs[field[2]]
  local scalar = type(field[2]) == "string" and scalar_of(w.schema, struct and struct[1] or field[2])
  if scalar then return pack("<" .. scalar[1], value[field[1]]) end
  return reference(w, own, target_of(w.schema, name, id, value), value[field[1]])
end

local function place_table(w, name, value)
  local fields, size, alignment, highest = lay_out(w.schema, name, value)
  local vtable = place_vtable(w, fields, highest, size)
  local object, at = place(w, size, alignment, 0), 4
  object[1] = pack("<i4", object.at - vtable)
  for _, f in ipairs(fields) do
    object[#object + 1] = ("\0"):rep(f.offset - at)
    object[#object + 1] = field_bytes(w, name, value, f.id, object.at + f.offset)
    at = f.offset + f.size
  end
  return object.at
end

function place_target(w, kind, value)
  if type(kind) == "table" then return place_vector(w, kind[1], value) end
  return place_table(w, kind, value)
end

local function write(w, first)
  local parts, at = { pack("<I4", first) }, 4
  for _, object in ipairs(w.objects) do
    parts[#parts + 1] = ("\0"):rep(object.at - at)
    at = object.at
    for _, part in ipairs(object) do
      if type(part) == "table" then part = pack("<I4", w.strings[part.text] - part.own) end
      parts[#parts + 1] = part
      at = at + #part
    end
  end
  parts[#parts + 1] = ("\0"):rep(-at % 16)
  return table.concat(parts)
end

--- The bytes of a root table, padded to a multiple of 16: the same for the same table.
function M.encode(schema, root)
  local w = { schema = schema, at = 4, objects = {}, vtables = {}, strings = {}, texts = {} }
  local first = place_table(w, schema.root, root)
  for _, text in ipairs(w.texts) do w.strings[text] = place_bytes(w, text .. "\0", 4, #text) end
  return write(w, first)
end

return M
