--- gzip (RFC 1952): one member, the usual content of a .gz file.
--
--    0   1F 8B 08              magic, method (8: deflate)
--    3   flags                 1 text, 2 header CRC, 4 extra, 8 name, 16 comment
--    4   time (4), extra flags (1), system (1)
--    10  [extra: 2-byte length, bytes] [name NUL] [comment NUL] [CRC of the header, 2 bytes]
--    ..  deflate stream
--    -8  CRC-32 of the content, its length modulo 2^32, 4 bytes each, little-endian
--
-- Inflating and CRC are the C core's; a test can inject its own. Inflating must use up its input: so a
-- second member, or anything else before the trailer, is refused and never dropped in silence.

local fault = require "espquant.codec.fault"

local M = {}

--- Largest content that is unpacked unless the caller says otherwise.
M.MAX_CONTENT = 4 << 30
--- deflate cannot shrink by more than this, so a higher ratio is a lie.
M.MAX_RATIO = 1032

local function ensure(bytes, last, what)
  if last > #bytes then
    fault.raise("format", "gzip: the file ends after %d bytes, in its %s", #bytes, what)
  end
end

local function skip_text(bytes, pos, what)
  local stop = bytes:find("\0", pos, true)
  return stop and stop + 1 or fault.raise("format", "gzip: the file ends in its %s", what)
end

--- Position of the deflate stream.
local function skip_header(bytes, crc32)
  if bytes:sub(1, 2) ~= "\x1F\x8B" then
    fault.raise("format", "gzip: expected a file that begins with 1F 8B, got %s", fault.quote(bytes:sub(1, 2)))
  end
  ensure(bytes, 10, "header")
  local method, flags = bytes:byte(3, 4)
  if method ~= 8 then
    fault.raise("unsupported", "gzip: compression method %d, expected 8 (deflate)", method)
  elseif flags & 0xE0 ~= 0 then
    fault.raise("format", "gzip: reserved flags are set (0x%02X)", flags)
  end
  local pos = 11
  if flags & 4 ~= 0 then
    ensure(bytes, pos + 1, "extra field")
    pos = pos + 2 + string.unpack("<I2", bytes, pos)
    ensure(bytes, pos - 1, "extra field")
  end
  pos = flags & 8 ~= 0 and skip_text(bytes, pos, "file name") or pos
  pos = flags & 16 ~= 0 and skip_text(bytes, pos, "comment") or pos
  if flags & 2 ~= 0 then
    ensure(bytes, pos + 1, "header checksum")
    local expected, got = string.unpack("<I2", bytes, pos), crc32(bytes:sub(1, pos - 1)) & 0xFFFF
    if expected ~= got then
      fault.raise("format", "gzip: header checksum %04X, computed %04X", expected, got)
    end
    pos = pos + 2
  end
  return pos
end

local function unpack_member(bytes, limit, core)
  core = core or require "espquant.core"
  local first = skip_header(bytes, core.crc32)
  local packed = #bytes - 8 - first + 1
  if packed < 2 then
    fault.raise("format", "gzip: the file ends after %d bytes, in its content", #bytes)
  end
  local crc, size = string.unpack("<I4I4", bytes, #bytes - 7)
  if size > limit then
    fault.raise("limit", "gzip: content of %d bytes, the limit is %d", size, limit)
  elseif size > packed * M.MAX_RATIO then
    fault.raise("format", "gzip: the trailer promises %d bytes, %d packed bytes cannot hold them", size, packed)
  end
  local content = fault.check("gzip", core.inflate(bytes:sub(first, -9), size, true))
  if #content ~= size then
    fault.raise("format", "gzip: unpacked %d bytes, the trailer promises %d (several members in one file?)",
      #content, size)
  end
  local got = core.crc32(content)
  if got ~= crc then
    fault.raise("format", "gzip: checksum %08X, computed %08X: the file is damaged", crc, got)
  end
  return content
end

--- Unpacks a .gz file's bytes. `limit`: most bytes of content (default 4 GB); `core`: a table with
-- `inflate(bytes, size, raw)` and `crc32(bytes)`, default `espquant.core`.
function M.gunzip(bytes, limit, core)
  fault.expect_string(bytes, "gzip.gunzip")
  return fault.catch(unpack_member, bytes, limit or M.MAX_CONTENT, core)
end

return M
