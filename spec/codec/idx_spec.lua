local gzip = require "espquant.codec.gzip"
local idx = require "espquant.codec.idx"
local support = require "spec.support.codec"

local function refuses(bytes, code, part)
  local value, message, got = support.survives(idx.decode, bytes)
  assert.is_nil(value)
  assert.truthy(message:find(part, 1, true), message)
  assert.equal(code, got, message)
end

describe("idx.decode", function()
  it("reads images out of a .gz file", function()
    local array = assert(idx.decode(assert(gzip.gunzip(support.fixture "codec/idx3.gz", nil, support.core))))
    assert.equal("uint8", array.dtype)
    assert.same({ 2, 3, 4 }, array.shape)
    assert.is_nil(array.byteorder)
    assert.same({ 0, 1, 2, 23 }, { array.data:byte(1), array.data:byte(2), array.data:byte(3), array.data:byte(24) })
  end)

  it("reads every element type, big-endian", function()
    for code, dtype in pairs {
      [0x08] = "uint8", [0x09] = "int8", [0x0B] = "int16", [0x0C] = "int32", [0x0D] = "float32", [0x0E] = "float64",
    } do
      local size = ({ uint8 = 1, int8 = 1, int16 = 2, float64 = 8 })[dtype] or 4
      local data = ("12345678"):sub(1, size):rep(6)
      assert.same({ dtype = dtype, shape = { 2, 3 }, data = data, byteorder = size > 1 and ">" or nil },
        idx.decode(string.pack(">BBBBI4I4", 0, 0, code, 2, 2, 3) .. data))
    end
  end)

  it("refuses what is no IDX file", function()
    refuses("", "format", "ends after 0 bytes")
    refuses("\0\0\8", "format", "ends after 3 bytes")
    refuses("PK\3\4", "format", "got 50 4B")
    refuses("\x1F\x8B\8\0", "format", "gzip-compressed")
    refuses("\0\0\x0A\1\0\0\0\1a", "unsupported", "0x0A")
    refuses("\0\0\8\0a", "limit", "rank 0")
    refuses("\0\0\8\9" .. ("\0\0\0\1"):rep(9) .. "a", "limit", "rank 9")
    refuses("\0\0\8\2\0\0\0\1", "format", "in its 2 dimensions")
  end)

  it("compares dimensions and data, without overflow", function()
    refuses("\0\0\8\1\0\0\0\3ab", "format", "(3,) of uint8 needs 3 bytes, got 2")
    refuses("\0\0\8\1\0\0\0\1ab", "format", "needs 1 bytes, got 2")
    refuses("\0\0\x0E\3" .. ("\xFF"):rep(12), "limit", "overflows")
    refuses("\0\0\8\3" .. "\0\1\0\0\0\1\0\0\0\1\0\0", "format", "needs 281474976710656 bytes, got 0")
  end)

  it("refuses every truncation and survives mutation", function()
    local bytes = string.pack(">BBBBI4I4", 0, 0, 0x0B, 2, 2, 3) .. ("ab"):rep(6)
    assert.equal(#bytes, support.refuses_truncations(idx.decode, bytes))
    assert.truthy(support.survives_mutations(idx.decode, bytes, 3000) > 1000)
  end)
end)
