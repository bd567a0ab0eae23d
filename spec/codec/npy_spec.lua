local npy = require "espquant.codec.npy"
local support = require "spec.support.codec"

--- A .npy file with `header` as its dict text.
local function file(header, data, version)
  version = version or "\1\0"
  return "\x93NUMPY" .. version .. string.pack(version == "\1\0" and "<s2" or "<s4", header) .. (data or "")
end

local function header(descr, shape, fortran)
  return ("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }"):format(descr, fortran or "False", shape)
end

local function refuses(bytes, code, ...)
  local value, message, got = support.survives(npy.decode, bytes)
  assert.is_nil(value)
  for _, part in ipairs { ... } do
    assert.truthy(message:find(part, 1, true), ("'%s' is not in: %s"):format(part, message))
  end
  assert.equal(code, got, message)
end

describe("npy.decode", function()
  it("reads numpy's own file, in Fortran order", function()
    local array = assert(npy.decode(support.fixture "codec/fortran_f8.npy"))
    assert.same({ 2, 3 }, array.shape)
    assert.equal("float64", array.dtype)
    assert.is_true(array.fortran)
    assert.is_nil(array.byteorder)
    assert.equal(string.pack("<dddddd", 0, 3, 1, 4, 2, 5), array.data)
  end)

  it("reads every element type in both byte orders", function()
    local types = {
      f2 = "float16", f4 = "float32", f8 = "float64", i1 = "int8", i2 = "int16", i4 = "int32", i8 = "int64",
      u1 = "uint8", u2 = "uint16", u4 = "uint32", u8 = "uint64", b1 = "bool",
    }
    for code, dtype in pairs(types) do
      local size = tonumber(code:sub(2))
      local data = ("\1\2\3\4\5\6\7\8"):sub(1, size):rep(3)
      for _, order in ipairs { size == 1 and "|" or "<", ">" } do
        local array = assert(npy.decode(file(header(order .. code, "(3,)"), data)))
        assert.same({ dtype = dtype, shape = { 3 }, data = data, byteorder = size > 1 and order == ">" and ">" or nil },
          array)
      end
    end
  end)

  it("reads versions 1, 2 and 3", function()
    for _, version in ipairs { "\1\0", "\2\0", "\3\0" } do
      assert.same({ dtype = "uint8", shape = { 2 }, data = "ab" },
        npy.decode(file(header("|u1", "(2,)"), "ab", version)))
    end
  end)

  it("reads scalars, empty arrays, long shapes and Python 2's long integers", function()
    local shapes = {
      ["()"] = { {}, 1 }, ["(0,)"] = { { 0 }, 0 }, ["(3, 0, 2)"] = { { 3, 0, 2 }, 0 }, ["(2L, 3L)"] = { { 2, 3 }, 6 },
      ["(2,3,)"] = { { 2, 3 }, 6 }, ["( 1 , 2 , 1 , 2 , 1 , 1 , 1 , 1 )"] = { { 1, 2, 1, 2, 1, 1, 1, 1 }, 4 },
    }
    for text, expected in pairs(shapes) do
      local array = assert(npy.decode(file(header("|i1", text), ("x"):rep(expected[2]))))
      assert.same(expected[1], array.shape)
    end
  end)

  it("accepts other key orders, quotes and blanks", function()
    local text = '{"shape":(1,),\t\'fortran_order\' : True ,"descr":"<i2"}  \n'
    assert.same({ dtype = "int16", shape = { 1 }, data = "ab" }, npy.decode(file(text, "ab")))
  end)

  it("refuses what is no npy file", function()
    refuses("", "format", "93 'NUMPY'")
    refuses("\x93", "format", "'\\x93'")
    refuses("PK\3\4", "format", "'PK\\x03\\x04'")
    refuses("\x93NUMPY", "format", "ends after 6 bytes")
    refuses("\x93NUMPY\4\0\1\0\0\0{", "unsupported", "version 4.0")
    refuses("\x93NUMPY\1\1\1\0{", "unsupported", "version 1.1")
  end)

  it("bounds the header", function()
    refuses("\x93NUMPY\2\0" .. string.pack("<I4", 10 << 20), "limit", "10485760", "10000")
    refuses("\x93NUMPY\2\0\xFF\xFF\xFF\xFF{}", "limit", "4294967295")
    refuses("\x93NUMPY\1\0\x76\0{'descr'", "format", "118 bytes", "only 8 more")
    refuses(file((" "):rep(10001)), "limit", "10001")
    refuses(file(header("|u1", "(1,)") .. (" "):rep(9000) .. "x", "a"), "format", "nothing after")
  end)

  it("evaluates nothing in the header", function()
    for _, text in ipairs {
      "{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': not True, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1+1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2**3,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1e3,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
      "{'descr': '<f4' 'x', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (1,)}",
      "dict(descr='<f4')", "", "{", "{}", "return 1", "\27Lua",
    } do
      refuses(file(text, "abcd"), "format", "npy: ")
    end
  end)

  it("wants the three keys once each", function()
    refuses(file "{'descr': '<f4', 'shape': (1,)}", "format", "no 'fortran_order'")
    refuses(file "{'descr': '<f4', 'descr': '<f4'}", "format", "repeated header key 'descr'")
    refuses(file "{'x': 1}", "format", "unknown header key 'x'")
    refuses(file(header("<f4", "(1,)", "Maybe"), "abcd"), "format", "Maybe")
  end)

  it("names the element type that it cannot hold", function()
    for descr, reason in pairs {
      ["|O"] = "never read", ["<U5"] = "text", ["|S3"] = "text", ["<c8"] = "complex", ["<f16"] = "unknown",
      ["<M8[ns]"] = "dates", ["|V12"] = "structured", ["<i3"] = "unknown", ["int"] = "unknown", [""] = "unknown",
    } do
      refuses(file(header(descr, "(1,)"), ("x"):rep(8)), "unsupported", reason, descr:match "^[<|]?(.*)$")
    end
    refuses(file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), "unsupported", "structured")
    refuses(file(header("|f4", "(1,)"), "abcd"), "format", "byte order")
  end)

  it("compares shape and data", function()
    refuses(file(header("<f4", "(3, 4)"), ("x"):rep(40)), "format", "(3, 4) of float32 needs 48 bytes, got 40")
    refuses(file(header("<f4", "(3, 4)"), ("x"):rep(49)), "format", "needs 48 bytes, got 49")
    refuses(file(header("<f4", "()"), ""), "format", "() of float32 needs 4 bytes, got 0")
  end)

  it("refuses shapes whose size overflows", function()
    refuses(file(header("<f4", "(4611686018427387904, 4)")), "limit", "overflows")
    refuses(file(header("<f8", "(4294967296, 4294967296)")), "limit", "overflows")
    refuses(file(header("<f8", "(0, 4294967296, 4294967296)")), "limit", "overflows")
    refuses(file(header("|u1", "(9223372036854775808,)")), "limit", "too large")
    refuses(file(header("|u1", "(" .. ("9"):rep(400) .. ",)")), "limit", "too large")
    refuses(file(header("|u1", "(-1,)")), "format", "negative")
    refuses(file(header("|u1", "(" .. ("1,"):rep(9) .. ")"), "x"), "limit", "rank")
    refuses(file(header("|u1", "(" .. ("1,"):rep(4000) .. ")"), "x"), "limit", "rank")
  end)

  it("refuses every truncation and survives mutation", function()
    local bytes = support.fixture "codec/fortran_f8.npy"
    assert.equal(#bytes, support.refuses_truncations(npy.decode, bytes))
    assert.truthy(support.survives_mutations(npy.decode, bytes, 3000) > 500)
    local short = file(header("<i2", "(2, 2)"), "abcdefgh", "\2\0")
    assert.truthy(support.survives_mutations(npy.decode, short, 3000, 7) > 1000)
  end)

  it("raises on misuse", function()
    assert.error_matches(function() npy.decode(12) end, "string expected, got number")
  end)
end)

describe("npy.encode", function()
  it("writes what decode reads", function()
    for _, array in ipairs {
      { dtype = "float32", shape = { 2, 3 }, data = ("abcd"):rep(6) },
      { dtype = "float32", shape = { 2, 3 }, data = ("abcd"):rep(6), byteorder = ">", fortran = true },
      { dtype = "bool", shape = {}, data = "\1" },
      { dtype = "uint64", shape = { 0 }, data = "" },
      { dtype = "int8", shape = { 1, 1, 1, 1, 1, 1, 1, 2 }, data = "ab" },
    } do
      assert.same(array, npy.decode(npy.encode(array)))
    end
  end)

  it("writes a version 1 header with aligned elements", function()
    local bytes = npy.encode { dtype = "float32", shape = { 2, 3 }, data = ("abcd"):rep(6) }
    local expected = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    assert.equal("\x93NUMPY\1\0\x76\0" .. expected .. (" "):rep(118 - #expected - 1) .. "\n", bytes:sub(1, 128))
    assert.equal(128 + 24, #bytes)
    for axis = 1, 40 do
      local head = npy.header { dtype = "uint8", shape = { 10 ^ (axis % 15) // 1 | 0, 1, 1 } }
      assert.equal(0, #head % 64)
    end
  end)

  it("raises on a record that contradicts itself", function()
    assert.error_matches(function() npy.encode { dtype = "float32", shape = { 2 }, data = "abc" } end, "needs 8 bytes")
    assert.error_matches(function() npy.encode { dtype = "complex64", shape = { 1 }, data = "" } end, "unknown dtype")
  end)
end)
