--- ZIP archives, as far as .npz needs them, and .npz itself (a ZIP of .npy members).
--
--    local header + data, per member   'PK' 03 04, 30 bytes, name, extra, data
--    central directory, one per member 'PK' 01 02, 46 bytes, name, extra, comment: what we believe
--    [zip64 end record + locator]      'PK' 06 06 (56 bytes), 'PK' 06 07 (20 bytes)
--    end record                        'PK' 05 06, 22 bytes, comment up to the end of the file
--
-- A field that does not fit reads FFFF or FFFFFFFF and stands in the zip64 record or in extra 0001.
-- The archive must be exactly this, without gaps that overlap: members that share bytes, sizes that
-- deflate cannot reach, names that leave the folder or come twice are refused before any inflating.
--
--    local archive <const> = zip.open(bytes)
--    for _, name in ipairs(archive:names()) do local data = archive:read(name) end

local fault = require "espquant.codec.fault"
local npy = require "espquant.codec.npy"

local M = {}

--- Limits, each overridden by a field of the same name in `options`.
M.limits = {
  members = 65536,
  total = 4 << 30, -- uncompressed bytes of all members
  ratio = 200,     -- uncompressed / file size, where the total exceeds `free`
  free = 64 << 20,
}

local MAX_DEFLATE_RATIO = 1032
local END_SIZE, LOCATOR_SIZE, END64_SIZE, CENTRAL_SIZE, LOCAL_SIZE = 22, 20, 56, 46, 30
local FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF

local Archive = {}
Archive.__index = Archive

local function fail(code, format, ...)
  fault.raise(code, "zip: " .. format, ...)
end

--- Position of the end record: it and its comment close the file.
local function find_end(bytes)
  for pos = #bytes - END_SIZE + 1, math.max(1, #bytes - END_SIZE - FULL16 + 1), -1 do
    if bytes:sub(pos, pos + 3) == "PK\5\6" and string.unpack("<I2", bytes, pos + 20) == #bytes - pos - END_SIZE + 1 then
      return pos
    end
  end
  fail("format", "no end record: not a ZIP archive, or cut short (%d bytes)", #bytes)
end

--- The zip64 end record before the end record at `pos`, or nil.
local function read_end64(bytes, pos)
  local locator = pos - LOCATOR_SIZE
  if locator < 1 or bytes:sub(locator, locator + 3) ~= "PK\6\7" then
    return nil
  end
  local offset = string.unpack("<I8", bytes, locator + 8)
  if offset ~= locator - 1 - END64_SIZE or bytes:sub(offset + 1, offset + 4) ~= "PK\6\6" then
    fail("format", "zip64 locator points to byte 0x%X, which is no zip64 end record", offset)
  end
  local disk, first_disk, here, count, size, start = string.unpack("<I4I4I8I8I8I8", bytes, offset + 17)
  return { pos = offset + 1, disk = disk | first_disk, here = here, count = count, size = size, start = start }
end

local function read_end(bytes)
  local pos = find_end(bytes)
  local disk, first_disk, here, count, size, start = string.unpack("<I2I2I2I2I4I4", bytes, pos + 4)
  local plain = { pos = pos, disk = disk | first_disk, here = here, count = count, size = size, start = start }
  local needs64 = here == FULL16 or count == FULL16 or size == FULL32 or start == FULL32
  local directory = read_end64(bytes, pos)
  if needs64 and not directory then
    fail("format", "the end record announces a zip64 record, none found")
  end
  directory = directory or plain
  if directory.disk ~= 0 or directory.here ~= directory.count then
    fail("unsupported", "archive of several disks")
  elseif directory.start < 0 or directory.size < 0 or directory.start > #bytes
    or directory.size ~= directory.pos - 1 - directory.start then
    fail("format", "central directory of 0x%X bytes at byte 0x%X, expected it to end at byte 0x%X",
      directory.size, directory.start, directory.pos - 1)
  end
  return directory
end

--- Replaces the fields of `header` that read FFFFFFFF by those of the zip64 extra, in its order.
local function apply_zip64(header, extra, fields)
  local pos = 1
  while pos + 3 <= #extra do
    local id, size = string.unpack("<I2I2", extra, pos)
    if pos + 3 + size > #extra then
      break
    elseif id == 1 then
      local at, stop = pos + 4, pos + 3 + size
      for _, field in ipairs(fields) do
        if header[field] == FULL32 and at + 7 <= stop then
          header[field], at = string.unpack("<i8", extra, at)
        end
      end
      return
    end
    pos = pos + 4 + size
  end
end

local function check_name(name)
  local quoted = fault.quote(name)
  if name == "" or name:find "[%c\\]" then
    fail("format", "member name %s is empty or has a control character or backslash", quoted)
  elseif name:find "^/" or name:find "^%a:" then
    fail("format", "member name %s is absolute", quoted)
  elseif ("/" .. name .. "/"):find("/../", 1, true) then
    fail("format", "member name %s leaves the folder", quoted)
  elseif #name > 4096 then
    fail("limit", "member name of %d bytes, expected at most 4096", #name)
  end
end

local function check_member(member, directory)
  local name = fault.quote(member.name)
  if member.flags & 0x2041 ~= 0 then
    fail("unsupported", "member %s is encrypted", name)
  elseif member.method ~= 0 and member.method ~= 8 then
    fail("unsupported", "member %s: compression method %d, expected 0 (stored) or 8 (deflate)", name, member.method)
  elseif member.packed < 0 or member.size < 0 or member.offset < 0
    or member.offset > directory.start - LOCAL_SIZE or member.packed > directory.start then
    fail("format", "member %s: 0x%X packed bytes at byte 0x%X, outside the archive's 0x%X bytes of members",
      name, member.packed, member.offset, directory.start)
  elseif member.method == 0 and member.size ~= member.packed then
    fail("format", "member %s is stored, but its sizes differ: %d and %d", name, member.size, member.packed)
  elseif member.size > member.packed * MAX_DEFLATE_RATIO then
    fail("format", "member %s: %d bytes cannot come from %d packed bytes", name, member.size, member.packed)
  end
end

--- One entry of the central directory and the position after it.
local function read_central(bytes, pos, directory)
  local last = directory.pos - 1
  if pos + CENTRAL_SIZE - 1 > last or bytes:sub(pos, pos + 3) ~= "PK\1\2" then
    fail("format", "byte %d: expected an entry of the central directory", pos - 1)
  end
  local flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size =
    string.unpack("<I2I2I2I2I4I4I4I2I2I2", bytes, pos + 8)
  local offset = string.unpack("<I4", bytes, pos + 42)
  local name_end = pos + CENTRAL_SIZE - 1 + name_size
  local next_pos = name_end + extra_size + comment_size + 1
  if next_pos - 1 > last then
    fail("format", "byte %d: an entry of the central directory runs past its end", pos - 1)
  end
  local member = {
    name = bytes:sub(pos + CENTRAL_SIZE, name_end), flags = flags, method = method,
    crc = crc, packed = packed, size = size, offset = offset,
  }
  apply_zip64(member, bytes:sub(name_end + 1, name_end + extra_size), { "size", "packed", "offset" })
  check_name(member.name)
  check_member(member, directory)
  return member, next_pos
end

--- Compares the local header with the directory's entry; sets `first`, the position of the data.
local function locate_data(bytes, member, directory)
  local pos, name = member.offset + 1, fault.quote(member.name)
  if bytes:sub(pos, pos + 3) ~= "PK\3\4" then
    fail("format", "member %s: no local header at byte %d", name, member.offset)
  end
  local flags, method, _, _, crc, packed, size, name_size, extra_size =
    string.unpack("<I2I2I2I2I4I4I4I2I2", bytes, pos + 6)
  local name_pos = pos + LOCAL_SIZE
  local here = { packed = packed, size = size }
  member.first = name_pos + name_size + extra_size
  if member.first - 1 + member.packed > directory.start then
    fail("format", "member %s: its data run into the central directory", name)
  end
  apply_zip64(here, bytes:sub(name_pos + name_size, member.first - 1), { "size", "packed" })
  local deferred = flags & 8 ~= 0 -- sizes follow the data; the directory has them
  if bytes:sub(name_pos, name_pos + name_size - 1) ~= member.name or method ~= member.method
    or (flags ~ member.flags) & 0x2041 ~= 0
    or not deferred and (here.packed ~= member.packed or here.size ~= member.size or crc ~= member.crc) then
    fail("format", "member %s: its local header contradicts the central directory", name)
  end
end

local function check_overlap(members)
  local sorted = table.move(members, 1, #members, 1, {})
  table.sort(sorted, function(a, b) return a.offset < b.offset end)
  for index = 2, #sorted do
    local before, after = sorted[index - 1], sorted[index]
    if before.first - 1 + before.packed > after.offset then
      fail("format", "members %s and %s share bytes", fault.quote(before.name), fault.quote(after.name))
    end
  end
end

local function check_total(members, bytes, limits)
  local total = 0
  for _, member in ipairs(members) do
    total = total + member.size -- members do not overlap, so this is at most 1032 times the file
  end
  if total > limits.total then
    fail("limit", "the members hold %d bytes, the limit is %d", total, limits.total)
  elseif total > limits.free and total > limits.ratio * #bytes then
    fail("limit", "%d bytes from a file of %d: the ratio limit is %d", total, #bytes, limits.ratio)
  end
end

local function read_directory(bytes, limits)
  local directory = read_end(bytes)
  if directory.count < 0 or directory.count > limits.members then
    fail("limit", "0x%X members, the limit is %d", directory.count, limits.members)
  end
  local members, by_name, pos = {}, {}, directory.start + 1
  for index = 1, directory.count do
    local member
    member, pos = read_central(bytes, pos, directory)
    if by_name[member.name] then
      fail("format", "two members are named %s", fault.quote(member.name))
    end
    locate_data(bytes, member, directory)
    members[index], by_name[member.name] = member, member
  end
  if pos ~= directory.pos then
    fail("format", "the central directory has %d bytes more than its %d entries", directory.pos - pos, directory.count)
  end
  check_overlap(members)
  check_total(members, bytes, limits)
  return setmetatable({ bytes = bytes, members = members, by_name = by_name }, Archive)
end

local function open(bytes, options)
  options = options or {}
  local limits = {}
  for name, default in pairs(M.limits) do
    limits[name] = options[name] or default
  end
  local archive = read_directory(bytes, limits)
  archive.options = options
  return archive
end

--- Opens an archive held in a string: reads and checks its directory, unpacks nothing.
-- `options`: limits (see `zip.limits`), and `inflate(bytes, size, raw)`, `crc32(bytes)` in place of
-- those of `espquant.core`.
function M.open(bytes, options)
  fault.expect_string(bytes, "zip.open")
  return fault.catch(open, bytes, options)
end

--- The members' names, in the directory's order.
function Archive:names()
  local names = {}
  for index, member in ipairs(self.members) do
    names[index] = member.name
  end
  return names
end

local function unpack_member(archive, member)
  local name, options = fault.quote(member.name), archive.options
  local data = archive.bytes:sub(member.first, member.first + member.packed - 1)
  if member.method == 8 then
    local inflate = options.inflate or require("espquant.core").inflate
    data = fault.check("zip: member " .. name, inflate(data, member.size, true))
    if #data ~= member.size then
      fail("format", "member %s: unpacked %d bytes, expected %d", name, #data, member.size)
    end
  end
  local crc32 = options.crc32 or require("espquant.core").crc32
  local crc = crc32(data)
  if crc ~= member.crc then
    fail("format", "member %s: checksum %08X, computed %08X: the file is damaged", name, member.crc, crc)
  end
  return data
end

--- The content of the member `name`; `nil, message, code` if there is none or it is damaged.
function Archive:read(name)
  local member = self.by_name[name]
  if not member then
    return nil, ("zip: no member %s"):format(fault.quote(name)), "format"
  end
  return fault.catch(unpack_member, self, member)
end

local function decode_npz(bytes, options)
  local archive, arrays = open(bytes, options), {}
  for index, member in ipairs(archive.members) do
    local name = member.name:match "^(.+)%.npy$"
    if not name then
      fail("unsupported", "member %s is no .npy array", fault.quote(member.name))
    end
    local array = fault.check("npz: member " .. fault.quote(member.name), npy.decode(unpack_member(archive, member)))
    array.name = name
    arrays[index] = array
  end
  return arrays
end

--- Reads a .npz file's bytes: a list of array records, each with its `name` (without ".npy").
function M.decode_npz(bytes, options)
  fault.expect_string(bytes, "zip.decode_npz")
  return fault.catch(decode_npz, bytes, options)
end

return M
