--- Containers of ESP-DL v3: one model (.espdl, "EDL2"; "EDL1" is older) or a package of several ("PDL1" to "PDL3").
--
--    "EDL2", uint32 encryption (0: none, 1: AES-128-CTR), uint32 length, 4 zero bytes, then the FlatBuffers payload
--    "PDL2", uint32 count, per model {uint32 offset, name's offset, name's length}, names, the models' files
--    "PDL3", version (16), uint32 size, SHA-256 of all with these 32 bytes as zeros, then as PDL2 from the count on
--
--    local models, message, code = espdl.decode(bytes)     -- a list of {name =, model =, encrypted =}
--    local bytes = espdl.encode(model[, key])
--    local bytes = espdl.pack { { name = "m.espdl", bytes = bytes }, ... }

local core = require "espquant.core"
local fault = require "espquant.codec.fault"
local flatbuffer = require "espquant.codec.flatbuffer"
local schema = require "espquant.codec.espdl_schema"

local M = {}

local MAX_MODELS, DIGEST_AT, DIGEST_SIZE = 4096, 25, 32
local unpack = string.unpack

local function fail(format, ...) fault.raise("format", "espdl: " .. format, ...) end

-- --- one model ------------------------------------------------------------------------------------------------------

local HEADER = { EDL1 = 12, EDL2 = 16 }
local COUNTER = string.char(0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e,
  0x1f)

-- A wrong key gives noise, which is no FlatBuffers file.
local function decrypt(payload, key, name)
  local made, message = flatbuffer.decode(schema, core.aes128_ctr(payload, key, COUNTER))
  if not made then fail("%s cannot be read with this key (%s)", name, message) end
  return made
end

-- The model that begins at a 0-based offset, and its bytes. What follows it in the file is not copied.
local function decode_model(bytes, offset, name, key)
  local magic, left = bytes:sub(offset + 1, offset + 4), #bytes - offset
  local header = HEADER[magic]
  if not header then fail("%s begins with %s, expected EDL2", name, fault.quote(magic)) end
  if left < header then fail("%s has %d bytes, its header alone has %d", name, left, header) end
  local encryption, size = unpack("<I4I4", bytes, offset + 5)
  if size > left - header then fail("%s promises %d bytes of model, the file has %d", name, size, left - header) end
  local first = offset + header
  local payload = bytes:sub(first + 1, first + size)
  if encryption == 1 then
    local model = key and decrypt(payload, key, name)
    return { name = name, model = model or nil, encrypted = not model }, header + size
  end
  if encryption ~= 0 then fail("%s has encryption mode %d, expected 0 or 1", name, encryption) end
  local model = fault.check("espdl: " .. name, flatbuffer.decode(schema, payload))
  return { name = name, model = model, encrypted = false }, header + size
end

-- --- packages -------------------------------------------------------------------------------------------------------

local function check_inside(bytes, offset, size, what)
  if offset > #bytes or size > #bytes - offset then
    fail("%s: byte %d and %d more lie outside of the package of %d", what, offset, size, #bytes)
  end
end

local function check_used(bytes, used)
  if used > #bytes then fail("its models and names have more bytes than the package: they overlap") end
end

-- The entries from the 1-based position `at` on; a model ends where the next one begins, or with the package.
local function decode_entries(bytes, at, key)
  if #bytes < at + 3 then fail("a package of %d bytes is cut short", #bytes) end
  local count = unpack("<I4", bytes, at)
  if count > MAX_MODELS then fault.raise("limit", "espdl: %d models, the limit is %d", count, MAX_MODELS) end
  check_inside(bytes, at + 3, 12 * count, "the list of models")
  local list, used = {}, 0
  for i = 1, count do
    local offset, name_offset, name_size = unpack("<I4I4I4", bytes, at + 4 + 12 * (i - 1))
    check_inside(bytes, name_offset, name_size, "the name of model " .. i)
    used = used + name_size
    check_used(bytes, used)
    local name = bytes:sub(name_offset + 1, name_offset + name_size)
    check_inside(bytes, offset, 0, "model " .. fault.quote(name))
    local entry, size = decode_model(bytes, offset, fault.quote(name), key)
    list[i], entry.name, used = entry, name, used + size
    check_used(bytes, used)
  end
  return list
end

-- The SHA-256 of a package, its own 32 bytes taken as zeros.
local function digest_of(bytes)
  local blank = bytes:sub(1, DIGEST_AT - 1) .. ("\0"):rep(DIGEST_SIZE) .. bytes:sub(DIGEST_AT + DIGEST_SIZE)
  return (core.sha256(blank):gsub("%x%x", function(x) return string.char(tonumber(x, 16)) end))
end

local function decode_pdl3(bytes, key)
  if #bytes < 60 then fail("a package of %d bytes is cut short", #bytes) end
  local size = unpack("<I4", bytes, 21)
  if size ~= #bytes then fail("the package says that it has %d bytes, the file has %d", size, #bytes) end
  local digest = bytes:sub(DIGEST_AT, DIGEST_AT + DIGEST_SIZE - 1)
  if digest_of(bytes) ~= digest then fail "the package's SHA-256 is not that of its bytes: it is damaged" end
  return decode_entries(bytes, 57, key)
end

local PACKAGES = {
  PDL1 = function(bytes, key) return decode_entries(bytes, 5, key) end,
  PDL2 = function(bytes, key) return decode_entries(bytes, 5, key) end,
  PDL3 = decode_pdl3,
}

local function decode(bytes, key)
  local package = PACKAGES[bytes:sub(1, 4)]
  return package and package(bytes, key) or { (decode_model(bytes, 0, "the model", key)) }
end

--- The models of a file: a list of {name =, model = (the tables of codec/espdl_schema), encrypted =}; a model that is
--- encrypted, where there is no key (16 bytes), has no `model`. Nil, message, code.
function M.decode(bytes, key)
  fault.expect_string(bytes, "decode")
  if key and #key ~= 16 then error("decode: a key of 16 bytes expected", 2) end
  return fault.catch(decode, bytes, key)
end

--- Whether bytes begin as such a file does.
function M.is_espdl(head)
  local magic = head:sub(1, 4)
  return HEADER[magic] ~= nil or PACKAGES[magic] ~= nil
end

--- The bytes of an .espdl file that holds this model, encrypted where there is a key of 16 bytes.
function M.encode(model, key)
  local payload = flatbuffer.encode(schema, model)
  if key then payload = core.aes128_ctr(payload, key, COUNTER) end
  return "EDL2" .. string.pack("<I4I4I4", key and 1 or 0, #payload, 0) .. payload
end

local function padded(bytes) return bytes .. ("\0"):rep(-#bytes % 16) end

-- Entries and names, whose offsets count from the start of the package.
local function table_of(list)
  local names_at, names, offsets = 60 + 12 * #list, {}, {}
  for i, each in ipairs(list) do
    offsets[i] = names_at
    names[i], names_at = each.name, names_at + #each.name
  end
  local at, entries = (names_at + 15) // 16 * 16, {}
  for i, each in ipairs(list) do
    entries[i] = string.pack("<I4I4I4", at, offsets[i], #each.name)
    at = at + #padded(each.bytes)
  end
  return table.concat(entries) .. table.concat(names), at
end

local VERSION = "v1.0"

--- A package ("PDL3") of files { name =, bytes = }, sorted by name, with the SHA-256 of it all.
function M.pack(files)
  local list = table.move(files, 1, #files, 1, {})
  table.sort(list, function(a, b) return a.name < b.name end)
  local index, size = table_of(list)
  local head = "PDL3" .. VERSION .. ("\0"):rep(16 - #VERSION) .. string.pack("<I4", size)
  local parts = { padded(head .. ("\0"):rep(DIGEST_SIZE) .. string.pack("<I4", #list) .. index) }
  for _, each in ipairs(list) do parts[#parts + 1] = padded(each.bytes) end
  local bytes = table.concat(parts)
  return bytes:sub(1, DIGEST_AT - 1) .. digest_of(bytes) .. bytes:sub(DIGEST_AT + DIGEST_SIZE)
end

return M
