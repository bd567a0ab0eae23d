local npy = require "espquant.codec.npy"
local support = require "spec.support.codec"
local zip = require "espquant.codec.zip"

--- Packs stored members into an archive. A member's fields override what is written: `l` those of
-- its local header, `c` those of the central directory, `e` those of the end record.
local function pack(members, e)
  local out, central, offset = {}, {}, 0
  for _, member in ipairs(members) do
    local data = member.data or ""
    local function fields(overrides)
      local plain = {
        flags = 0, method = 0, crc = support.crc32(data), packed = #data, size = #data, name = member.name,
        extra = "", offset = offset, comment = "",
      }
      return setmetatable(overrides or {}, { __index = plain })
    end
    local l, c = fields(member.l), fields(member.c)
    local head = string.pack("<c4I2I2I2I4I4I4I4I2I2", "PK\3\4", 20, l.flags, l.method, 0, l.crc, l.packed, l.size,
      #l.name, #l.extra)
    local body = head .. l.name .. l.extra .. data .. (member.tail or "")
    out[#out + 1] = body
    central[#central + 1] = string.pack("<c4I2I2I2I2I4I4I4I4I2I2I2I2I2I4I4", "PK\1\2", 20, 20, c.flags, c.method, 0,
      c.crc, c.packed, c.size, #c.name, #c.extra, #c.comment, 0, 0, 0, c.offset) .. c.name .. c.extra .. c.comment
    offset = offset + #body
  end
  local directory = table.concat(central)
  e = setmetatable(e or {}, { __index = {
    disk = 0, here = #members, count = #members, size = #directory, start = offset, comment = "", before = "",
  } })
  return table.concat(out) .. directory .. e.before
    .. string.pack("<c4I2I2I2I2I4I4s2", "PK\5\6", e.disk, e.disk, e.here, e.count, e.size, e.start, e.comment)
end

local function options(overrides)
  return setmetatable(overrides or {}, { __index = support.core })
end

local function read_all(bytes, limits)
  local archive, message, code = zip.open(bytes, options(limits))
  if not archive then
    return nil, message, code
  end
  local contents = {}
  for index, name in ipairs(archive:names()) do
    local data
    data, message, code = archive:read(name)
    if not data then
      return nil, message, code
    end
    contents[index] = { name, data }
  end
  return contents
end

local function refuses(bytes, code, part, limits)
  local value, message, got = support.survives(function(data) return read_all(data, limits) end, bytes)
  assert.is_nil(value)
  assert.truthy(message:find(part, 1, true), message)
  assert.equal(code, got, message)
end

--- One member "a" with `data` and overrides.
local function one(c, l, data)
  return pack { { name = "a", data = data or "hello", c = c, l = l } }
end

local function both(fields)
  local copy = {}
  for key, value in pairs(fields) do
    copy[key] = value
  end
  return one(fields, copy)
end

describe("zip.open", function()
  it("lists and reads members in the directory's order", function()
    assert.same({ { "b", "two" }, { "dir/a.npy", "" } },
      read_all(pack { { name = "b", data = "two" }, { name = "dir/a.npy" } }))
    assert.same({}, read_all(pack {}))
  end)

  it("finds the end record before a comment", function()
    assert.same({ { "a", "x" } }, read_all(pack({ { name = "a", data = "x" } }, { comment = "PK\5\6 no end record" })))
  end)

  it("reads zip64 sizes and end record", function()
    local extra = string.pack("<I2I2i8i8", 1, 16, 5, 5)
    local full = 0xFFFFFFFF
    assert.same({ { "a", "hello" } }, read_all(one(nil, { packed = full, size = full, extra = extra })))
    assert.same({ { "a", "hello" } }, read_all(one({ packed = full, size = full, extra = "\9\0\1\0x" .. extra })))
    local offset = string.pack("<I2I2i8i8i8", 1, 24, 5, 5, 0)
    assert.same({ { "a", "hello" } }, read_all(one({ packed = full, size = full, offset = full, extra = offset })))

    local plain = one()
    local start, size = 30 + 1 + 5, #plain - 22 - 36
    local before = string.pack("<c4I8I2I2I4I4I8I8I8I8", "PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, start)
      .. string.pack("<c4I4I8I4", "PK\6\7", 0, start + size, 1)
    local marks = { here = 0xFFFF, count = 0xFFFF, size = full, start = full, before = before }
    assert.same({ { "a", "hello" } }, read_all(pack({ { name = "a", data = "hello" } }, marks)))
    marks.before = before:gsub("PK\6\6", "PK\6\5")
    refuses(pack({ { name = "a", data = "hello" } }, marks), "format", "zip64 locator")
    marks.before = ""
    refuses(pack({ { name = "a", data = "hello" } }, marks), "format", "announces a zip64 record")
  end)

  it("refuses zip64 lies", function()
    local full = 0xFFFFFFFF
    local function lie(packed, size, offset)
      return one({ packed = full, size = full, offset = full,
        extra = string.pack("<I2I2i8i8i8", 1, 24, size, packed, offset) })
    end
    refuses(lie(1 << 62, 1 << 62, 0), "format", "outside the archive")
    refuses(lie(-1, -1, 0), "format", "outside the archive")
    refuses(lie(5, 5, 1 << 62), "format", "outside the archive")
    refuses(lie(5, 5, -1), "format", "outside the archive")
    refuses(lie(5, -5, 0), "format", "outside the archive")
    refuses(one { packed = full, size = full }, "format", "outside the archive")
    refuses(one { packed = full, size = full, extra = "\1\0\8\0\5\0\0" }, "format", "outside the archive")
  end)

  it("refuses what is no archive", function()
    refuses("", "format", "not a ZIP archive")
    refuses("PK\3\4", "format", "not a ZIP archive")
    refuses(("x"):rep(100000), "format", "not a ZIP archive")
    refuses(one() .. "x", "format", "not a ZIP archive")
    refuses("x" .. one(), "format", "central directory")
    refuses(pack({ { name = "a" } }, { disk = 1 }), "unsupported", "several disks")
    refuses(pack({ { name = "a" } }, { here = 2 }), "unsupported", "several disks")
    refuses(pack({ { name = "a" } }, { here = 2, count = 2 }), "format", "expected an entry")
    refuses(pack({ { name = "a" }, { name = "b" } }, { here = 1, count = 1 }), "format", "more than its 1 entries")
    refuses(pack({ { name = "a" } }, { start = 5 }), "format", "central directory")
    refuses(pack({ { name = "a" } }, { size = 1 }), "format", "central directory")
  end)

  it("refuses names that leave the folder, and doubles", function()
    for _, name in ipairs { "../a", "a/../../b", "..", "a/..", "/etc/passwd", "C:/a", "a\\b", "a\0b", "a\nb", "" } do
      local value, message, code = zip.open(pack { { name = name } }, options())
      assert.is_nil(value, name)
      assert.equal("format", code)
      assert.truthy(message:find "member name", message)
    end
    refuses(pack { { name = ("a"):rep(5000) } }, "limit", "5000 bytes")
    refuses(pack { { name = "a" }, { name = "a" } }, "format", "two members are named 'a'")
    assert.truthy(read_all(pack { { name = "a..b/...c" } }))
  end)

  it("refuses encryption and unknown methods", function()
    refuses(both { flags = 1 }, "unsupported", "encrypted")
    refuses(both { flags = 0x40 }, "unsupported", "encrypted")
    refuses(both { flags = 0x2000 }, "unsupported", "encrypted")
    refuses(one(nil, { flags = 1 }), "format", "contradicts")
    refuses(both { method = 12 }, "unsupported", "method 12")
  end)

  it("refuses headers that contradict each other", function()
    refuses(one(nil, { name = "b" }), "format", "contradicts")
    refuses(one(nil, { method = 8 }), "format", "contradicts")
    refuses(one(nil, { size = 4 }), "format", "contradicts")
    refuses(one(nil, { crc = 1 }), "format", "contradicts")
    refuses(one { size = 4 }, "format", "its sizes differ")
    refuses(one { packed = 40, size = 40 }, "format", "outside the archive")
    refuses(one { packed = 30, size = 30 }, "format", "run into the central directory")
    refuses(one { offset = 1 }, "format", "no local header")
    local long_comment = one():gsub("^(" .. ("."):rep(36 + 32) .. ")..", "%1\xE8\3")
    refuses(long_comment, "format", "runs past its end")
    refuses(both { crc = 1 }, "format", "checksum 00000001")
    assert.same({ { "a", "hello" } }, read_all(one({ flags = 8 }, { flags = 8, crc = 0, packed = 0, size = 0 })))
  end)

  it("refuses members that share bytes", function()
    local inner = pack { { name = "b", data = "xyz" } }
    local shared = inner:sub(1, 30 + 1 + 3) -- member b, inside a's data
    refuses(pack { { name = "a", data = shared }, { name = "b", data = "xyz", c = { offset = 31 } } }, "format",
      "'a' and 'b' share bytes")
    refuses(pack { { name = "a", data = "xyz" }, { name = "c", c = { name = "a", offset = 0 } } }, "format",
      "two members")
  end)

  it("refuses bombs before it unpacks anything", function()
    local bomb = { inflate = function() error "unpacked" end, crc32 = support.crc32 }
    local function deflated(packed, size)
      local fields = { method = 8, size = size }
      return pack { { name = "a", data = ("x"):rep(packed), c = fields, l = { method = 8, size = size } } }
    end
    local function refuses_bomb(bytes, code, part, limits)
      local value, message, got = zip.open(bytes, setmetatable(limits or {}, { __index = bomb }))
      assert.is_nil(value)
      assert.truthy(message:find(part, 1, true), message)
      assert.equal(code, got)
    end
    refuses_bomb(deflated(100, 103201), "format", "103201 bytes cannot come from 100 packed bytes")
    refuses_bomb(deflated(100000, 100000000), "limit", "ratio limit is 200")
    refuses_bomb(deflated(1000, 5000), "limit", "the limit is 4999", { total = 4999 })
    refuses_bomb(pack { { name = "a" }, { name = "b" } }, "limit", "members", { members = 1 })
    assert.truthy(zip.open(deflated(100000, 100000000), { ratio = 2000 }))
  end)

  it("refuses a member that unpacks to another size or not at all", function()
    local hello = "\1\5\0\xFA\xFFhello"
    local function deflated(size, data)
      local crc = support.crc32 "hello"
      return pack { { name = "a", data = data or hello, c = { method = 8, size = size, crc = crc },
        l = { method = 8, size = size, crc = crc } } }
    end
    assert.same({ { "a", "hello" } }, read_all(deflated(5)))
    refuses(deflated(6), "format", "unpacked 5 bytes, expected 6")
    refuses(deflated(4), "format", "zip: member 'a': deflate: more content")
    refuses(deflated(5, "\7" .. hello), "format", "deflate: bad block type")
  end)

  it("names a missing member", function()
    local archive = assert(zip.open(pack { { name = "a" } }, options()))
    local value, message, code = archive:read "b\n"
    assert.is_nil(value)
    assert.equal("zip: no member 'b\\x0A'", message)
    assert.equal("format", code)
  end)

  it("leaves the caller's options alone", function()
    local given = { total = 100 }
    assert.truthy(zip.open(pack { { name = "a" } }, given))
    assert.same({ total = 100 }, given)
    assert.is_nil(getmetatable(given))
  end)

  it("refuses every truncation and survives mutation", function()
    local bytes = pack { { name = "a", data = "hello" }, { name = "bc", data = "world" } }
    assert.equal(#bytes, support.refuses_truncations(read_all, bytes))
    assert.truthy(support.survives_mutations(read_all, bytes, 4000) > 2000)
  end)
end)

describe("zip.decode_npz", function()
  local function decode(bytes)
    return zip.decode_npz(bytes, options())
  end

  it("reads numpy's savez", function()
    local arrays = assert(decode(support.fixture "codec/stored.npz"))
    assert.same({
      { name = "images", dtype = "float32", shape = { 2, 3 }, data = string.pack("<ffffff", 0, 1, 2, 3, 4, 5) },
      { name = "labels", dtype = "uint8", shape = { 2 }, data = "\7\8" },
    }, arrays)
  end)

  it("reads numpy's savez_compressed", function()
    local ramp = {}
    for index = 0, 299 do
      ramp[index + 1] = string.pack(">i2", index)
    end
    assert.same({
      { name = "zeros", dtype = "float32", shape = { 40, 50 }, data = ("\0"):rep(8000) },
      { name = "ramp", dtype = "int16", shape = { 300 }, data = table.concat(ramp), byteorder = ">" },
      { name = "fortran", dtype = "float64", shape = { 2, 3 }, data = string.pack("<dddddd", 0, 3, 1, 4, 2, 5),
        fortran = true },
    }, decode(support.fixture "codec/deflated.npz"))
  end)

  it("reads them with the C core", function()
    local has_core, core = pcall(require, "espquant.core")
    if not (has_core and core.inflate and core.crc32) then
      return pending "espquant.core is not built"
    end
    for _, name in ipairs { "codec/stored.npz", "codec/deflated.npz" } do
      assert.same(decode(support.fixture(name)), zip.decode_npz(support.fixture(name)))
    end
  end)

  it("refuses members that are no arrays, by name", function()
    local array = npy.encode { dtype = "uint8", shape = { 1 }, data = "x" }
    assert.same({ { name = "a", dtype = "uint8", shape = { 1 }, data = "x" } }, decode(pack { { name = "a.npy",
      data = array } }))
    local value, message, code = decode(pack { { name = "a.txt", data = array } })
    assert.same({ nil, "zip: member 'a.txt' is no .npy array", "unsupported" }, { value, message, code })
    value, message, code = decode(pack { { name = "a.npy", data = array:sub(1, -2) } })
    assert.is_nil(value)
    assert.truthy(message:find("npz: member 'a.npy': npy: shape (1,) of uint8 needs 1 bytes, got 0", 1, true), message)
    assert.equal("format", code)
  end)

  it("refuses every truncation and survives mutation", function()
    for name, times in pairs { ["codec/stored.npz"] = 2000, ["codec/deflated.npz"] = 500 } do
      local bytes = support.fixture(name)
      assert.equal(#bytes, support.refuses_truncations(decode, bytes))
      assert.truthy(support.survives_mutations(decode, bytes, times) > times // 2)
    end
  end)
end)
