local gzip = require "espquant.codec.gzip"
local support = require "spec.support.codec"

local function gunzip(bytes, limit)
  return gzip.gunzip(bytes, limit, support.core)
end

local function refuses(bytes, code, part, limit)
  local value, message, got = support.survives(function(data) return gunzip(data, limit) end, bytes)
  assert.is_nil(value)
  assert.truthy(message:find(part, 1, true), message)
  assert.equal(code, got, message)
end

local TEXT = ("the quick brown fox "):rep(200)

--- "hello" as a stored deflate block.
local HELLO = "\1\5\0\xFA\xFFhello"
local TRAILER = string.pack("<I4I4", support.crc32 "hello", 5)

local function member(flags, fields, body, trailer)
  local head = "\x1F\x8B\8" .. string.char(flags) .. "\0\0\0\0\0\3"
  return head .. (fields or "") .. (body or HELLO) .. (trailer or TRAILER)
end

describe("gzip.gunzip", function()
  it("unpacks what gzip packed", function()
    assert.equal(TEXT, gunzip(support.fixture "codec/text.gz"))
  end)

  it("unpacks with the C core", function()
    local has_core, core = pcall(require, "espquant.core")
    if not (has_core and core.inflate and core.crc32) then
      return pending "espquant.core is not built"
    end
    assert.equal(TEXT, gzip.gunzip(support.fixture "codec/text.gz"))
    assert.equal("hello", gzip.gunzip(member(0)))
    local _, _, code = gzip.gunzip(member(0, "", "\7" .. HELLO))
    assert.equal("format", code)
    assert.equal(support.crc32 "hello", core.crc32 "hello")
  end)

  it("skips every header field", function()
    assert.equal("hello", gunzip(member(0)))
    assert.equal("hello", gunzip(member(1)))
    assert.equal("hello", gunzip(member(4, "\3\0abc")))
    assert.equal("hello", gunzip(member(4, "\0\0")))
    assert.equal("hello", gunzip(member(8, "name\0")))
    assert.equal("hello", gunzip(member(16, "\0")))
    local head = member(0x1F, "\1\0xname\0note\0", "", "")
    assert.equal("hello", gunzip(head .. string.pack("<I2", support.crc32(head) & 0xFFFF) .. HELLO .. TRAILER))
    refuses(head .. "\0\0" .. HELLO .. TRAILER, "format", "header checksum")
  end)

  it("unpacks empty content", function()
    assert.equal("", gunzip(member(0, "", "\3\0", ("\0"):rep(8))))
  end)

  it("refuses what is no gzip file", function()
    refuses("", "format", "1F 8B")
    refuses("PK\3\4" .. ("x"):rep(30), "format", "1F 8B")
    refuses("\x1F\x8B\7\0" .. ("x"):rep(30), "unsupported", "method 7")
    refuses(member(0x20), "format", "reserved")
    refuses(member(0, "", ""), "format", "ends after 18 bytes, in its content")
    refuses(member(0, "", "", ""), "format", "ends after 10 bytes, in its content")
    refuses(member(4, "\xFF\xFF"), "format", "extra field")
    refuses("\x1F\x8B\8\8\0\0\0\0\0\3" .. ("x"):rep(30), "format", "file name")
  end)

  it("refuses content that is not what the trailer promises", function()
    refuses(member(0, "", HELLO, string.pack("<I4I4", 1, 5)), "format", "checksum 00000001")
    refuses(member(0, "", HELLO, string.pack("<I4I4", support.crc32 "hello", 6)), "format", "unpacked 5 bytes")
    refuses(member(0, "", HELLO, string.pack("<I4I4", support.crc32 "hello", 4)), "format", "gzip: deflate")
    refuses(member(0, "", HELLO, string.pack("<I4I4", 0, 1 << 31)), "format", "cannot hold")
    refuses(member(0) .. member(0), "format", "gzip: ")
    refuses(member(0, "", "\7" .. HELLO), "format", "gzip: deflate: bad block type")
  end)

  it("obeys the limit before it unpacks", function()
    refuses(support.fixture "codec/text.gz", "limit", "4000 bytes, the limit is 3999", 3999)
    assert.equal(TEXT, gunzip(support.fixture "codec/text.gz", 4000))
  end)

  it("refuses every truncation and survives mutation", function()
    for _, name in ipairs { "codec/text.gz", "codec/idx3.gz" } do
      local bytes = support.fixture(name)
      assert.equal(#bytes, support.refuses_truncations(gunzip, bytes))
      assert.truthy(support.survives_mutations(gunzip, bytes, 1500) > 1000)
    end
  end)
end)
