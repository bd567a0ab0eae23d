--- What the codec specs share: fixtures, damage, and slow Lua twins of the C core's inflate and CRC.

local M = {}

--- The bytes of spec/fixtures/<path>.
function M.fixture(path)
  local file <close> = assert(io.open("spec/fixtures/" .. path, "rb"))
  return file:read "a"
end

local crc_table = {}
for index = 0, 255 do
  local value = index
  for _ = 1, 8 do
    value = value & 1 == 1 and value >> 1 ~ 0xEDB88320 or value >> 1
  end
  crc_table[index] = value
end

--- CRC-32 as ZIP and gzip use it.
function M.crc32(bytes)
  local crc = 0xFFFFFFFF
  for index = 1, #bytes do
    crc = crc_table[(crc ~ bytes:byte(index)) & 0xFF] ~ crc >> 8
  end
  return crc ~ 0xFFFFFFFF
end

--- A canonical Huffman code: code .. length -> symbol.
local function huffman(lengths)
  local count, next_code, symbols = {}, {}, {}
  for symbol = 0, #lengths do
    count[lengths[symbol]] = (count[lengths[symbol]] or 0) + 1
  end
  local code = 0
  for length = 1, 15 do
    code = (code + (length > 1 and count[length - 1] or 0)) << 1
    next_code[length] = code
  end
  for symbol = 0, #lengths do
    local length = lengths[symbol]
    if length > 0 then
      symbols[next_code[length] << 4 | length] = symbol
      next_code[length] = next_code[length] + 1
    end
  end
  return symbols
end

local LENGTH_BASE, DISTANCE_BASE = { 3 }, { 1 }
for index = 1, 28 do
  LENGTH_BASE[index + 1] = LENGTH_BASE[index] + (1 << (index < 5 and 0 or (index - 1) // 4 - 1))
end
LENGTH_BASE[29] = 258
for index = 1, 29 do
  DISTANCE_BASE[index + 1] = DISTANCE_BASE[index] + (1 << (index < 3 and 0 or (index - 1) // 2 - 1))
end

local Bits = {}
Bits.__index = Bits

function Bits:take(count)
  local value = 0
  for index = 0, count - 1 do
    local byte = self.bytes:byte(self.pos // 8 + 1) or error("deflate: end of data", 0)
    value = value | (byte >> self.pos % 8 & 1) << index
    self.pos = self.pos + 1
  end
  return value
end

function Bits:symbol(codes)
  local code = 0
  for length = 1, 15 do
    code = code << 1 | self:take(1)
    local symbol = codes[code << 4 | length]
    if symbol then
      return symbol
    end
  end
  error("deflate: bad code", 0)
end

local ORDER = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 }

local function dynamic_codes(bits)
  local literals, distances, count = bits:take(5) + 257, bits:take(5) + 1, bits:take(4) + 4
  local lengths = {}
  for index, symbol in ipairs(ORDER) do
    lengths[symbol] = index <= count and bits:take(3) or 0
  end
  local codes, all = huffman(lengths), {}
  while #all < literals + distances do
    local symbol = bits:symbol(codes)
    local value, times = symbol, 1
    if symbol == 16 then
      value, times = all[#all], 3 + bits:take(2)
    elseif symbol > 16 then
      value, times = 0, symbol == 17 and 3 + bits:take(3) or 11 + bits:take(7)
    end
    for _ = 1, times do
      all[#all + 1] = value or error("deflate: nothing to repeat", 0)
    end
  end
  local first = table.move(all, 1, literals, 0, {})
  return huffman(first), huffman(table.move(all, literals + 1, literals + distances, 0, {}))
end

local function fixed_codes()
  local literals, distances = {}, {}
  for symbol = 0, 287 do
    literals[symbol] = symbol < 144 and 8 or symbol < 256 and 9 or symbol < 280 and 7 or 8
  end
  for symbol = 0, 29 do
    distances[symbol] = 5
  end
  return huffman(literals), huffman(distances)
end

local function check_limit(out, limit)
  if #out > limit then
    error("deflate: more content than expected", 0)
  end
end

local function inflate_block(bits, out, limit, literals, distances)
  while true do
    local symbol = bits:symbol(literals)
    if symbol == 256 then
      return
    elseif symbol < 256 then
      out[#out + 1] = string.char(symbol)
    else
      local index = symbol - 256
      local extra = (index < 9 or index == 29) and 0 or (index - 1) // 4 - 1
      local length = (LENGTH_BASE[index] or error("deflate: bad length", 0)) + bits:take(extra)
      local code = bits:symbol(distances)
      local distance = DISTANCE_BASE[code + 1] + bits:take(code < 4 and 0 or code // 2 - 1)
      for _ = 1, length do
        out[#out + 1] = out[#out + 1 - distance] or error("deflate: distance too far", 0)
      end
    end
    check_limit(out, limit)
  end
end

local function inflate(bytes, limit)
  local bits, out = setmetatable({ bytes = bytes, pos = 0 }, Bits), {}
  repeat
    local last, kind = bits:take(1), bits:take(2)
    if kind == 0 then
      bits.pos = (bits.pos + 7) // 8 * 8
      local size, complement = bits:take(16), bits:take(16)
      if size ~ complement ~= 0xFFFF then
        error("deflate: stored length contradicts itself", 0)
      end
      for _ = 1, size do
        out[#out + 1] = string.char(bits:take(8))
      end
      check_limit(out, limit)
    elseif kind == 3 then
      error("deflate: bad block type", 0)
    elseif kind == 2 then
      inflate_block(bits, out, limit, dynamic_codes(bits))
    else
      inflate_block(bits, out, limit, fixed_codes())
    end
  until last == 1
  if (bits.pos + 7) // 8 ~= #bytes then
    error("deflate: bytes follow the stream", 0)
  end
  return table.concat(out)
end

--- Raw deflate, with the contract of `espquant.core.inflate`.
function M.inflate(bytes, limit, raw)
  assert(raw == true, "the codecs inflate raw streams only")
  local ok, result = pcall(inflate, bytes, limit)
  if ok then
    return result
  end
  return nil, result, "format"
end

--- `inflate` and `crc32` for `zip.open` and `gzip.gunzip`.
M.core = { inflate = M.inflate, crc32 = M.crc32 }

local codes = { format = true, unsupported = true, limit = true }

--- Calls `decode(bytes)`: it must return a value, or nil, a message of one line and a code; never raise.
function M.survives(decode, bytes)
  local ok, value, message, code = pcall(decode, bytes)
  if not ok then
    error(("raised: %s\non %s"):format(tostring(value), (bytes:sub(1, 400):gsub("[^\x20-\x7E]", function(char)
      return ("\\x%02X"):format(char:byte())
    end))), 0)
  elseif value == nil then
    assert(type(message) == "string" and #message < 600 and not message:find "[%c\x7F-\xFF]",
      "not a printable message of one line: " .. tostring(message))
    assert(codes[code], "unknown code: " .. tostring(code) .. " with: " .. message)
  end
  return value, message, code
end

--- Every proper prefix of `bytes` must be refused. Returns their number.
function M.refuses_truncations(decode, bytes)
  for size = 0, #bytes - 1 do
    local value = M.survives(decode, bytes:sub(1, size))
    assert(value == nil, ("accepted when cut after %d of %d bytes"):format(size, #bytes))
  end
  return #bytes
end

--- `count` copies of `bytes`, each with a few bytes changed, inserted, removed or doubled, must not
-- raise. Returns how many were refused.
function M.survives_mutations(decode, bytes, count, seed)
  local state = seed or 1
  local function random(limit)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % limit
  end
  local refused = 0
  for _ = 1, count do
    local copy = bytes
    for _ = 0, random(3) do
      local at, kind = random(#copy + 1), random(5)
      local byte = ({ "\0", "\xFF", "\x7F", "\x80" })[random(8) + 1] or string.char(random(256))
      if kind == 0 then
        copy = copy:sub(1, at) .. byte .. copy:sub(at + 1)
      elseif kind == 1 then
        copy = copy:sub(1, at) .. copy:sub(at + 2 + random(4))
      elseif kind == 2 then
        copy = copy:sub(1, at) .. copy:sub(at + 1, at + random(16)) .. copy:sub(at + 1)
      else
        copy = copy:sub(1, at) .. byte .. copy:sub(at + 2)
      end
    end
    refused = refused + (M.survives(decode, copy) == nil and 1 or 0)
  end
  return refused
end

return M
