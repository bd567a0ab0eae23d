--- IDX, the format of the MNIST files.
--
--    0   00 00                 magic
--    2   element type          08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
--    3   rank                  1 byte
--    4   dimensions            4 bytes each, big-endian
--    ..  elements              C order, big-endian, to the end of the file
--
-- Files are often distributed as .gz: `espquant.codec.gzip` opens those.

local fault = require "espquant.codec.fault"
local record = require "espquant.codec.record"

local M = {}

local dtypes = {
  [0x08] = "uint8", [0x09] = "int8", [0x0B] = "int16",
  [0x0C] = "int32", [0x0D] = "float32", [0x0E] = "float64",
}

local function check_magic(bytes)
  if bytes:sub(1, 2) == "\x1F\x8B" then
    fault.raise("format", "idx: the file is gzip-compressed, expected its uncompressed content")
  elseif #bytes < 4 then
    fault.raise("format", "idx: the file ends after %d bytes, expected at least 4", #bytes)
  elseif bytes:sub(1, 2) ~= "\0\0" then
    fault.raise("format", "idx: expected a file that begins with 00 00, got %02X %02X", bytes:byte(1, 2))
  end
end

local function parse(bytes)
  check_magic(bytes)
  local code, rank = bytes:byte(3, 4)
  local dtype = dtypes[code]
  if not dtype then
    fault.raise("unsupported", "idx: element type 0x%02X, expected 0x08, 0x09 or 0x0B to 0x0E", code)
  elseif rank < 1 or rank > record.MAX_RANK then
    fault.raise("limit", "idx: rank %d, expected 1 to %d", rank, record.MAX_RANK)
  elseif #bytes < 4 + 4 * rank then
    fault.raise("format", "idx: the file ends after %d bytes, in its %d dimensions", #bytes, rank)
  end
  local shape = { string.unpack(">" .. ("I4"):rep(rank), bytes, 5) }
  shape[rank + 1] = nil -- string.unpack's end position
  return record.new("idx", dtype, shape, bytes:sub(5 + 4 * rank), ">")
end

--- Reads an uncompressed IDX file's bytes into an array record; `nil, message, code` if they are none.
function M.decode(bytes)
  fault.expect_string(bytes, "idx.decode")
  return fault.catch(parse, bytes)
end

return M
