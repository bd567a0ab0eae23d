local pickle = require "espquant.codec.pickle"
local support = require "spec.support.codec"

local function refuses(bytes, code, ...)
  local value, message, got = support.survives(pickle.decode, bytes)
  assert.is_nil(value)
  for _, part in ipairs { ... } do
    assert.truthy(message:find(part, 1, true), ("'%s' is not in: %s"):format(part, message))
  end
  assert.equal(code, got, message)
end

-- Pieces of pickles: text, a global, the float64 dtype, a scalar.
local function text(value) return "X" .. string.pack("<s4", value) end
local function bytes_of(value) return "C" .. string.pack("s1", value) end
local function global(name) return "c" .. name:gsub(" ", "\n") .. "\n" end
local function dtype(code, order)
  local state = "(K\3" .. text(order or "<") .. "NNN" .. ("J\xFF\xFF\xFF\xFF"):rep(2) .. "K\0tb"
  return global "numpy dtype" .. text(code) .. "\x89\x88\x87R" .. state
end
local function scalar(code, data, order)
  return global "numpy.core.multiarray scalar" .. dtype(code, order) .. bytes_of(data) .. "\x86R"
end
local function array(shape, code, data, fortran, order)
  local state = "(K\1" .. shape .. dtype(code, order) .. (fortran and "\x88" or "\x89") .. bytes_of(data) .. "tb"
  return global "numpy.core.multiarray _reconstruct" .. global "numpy ndarray" .. "K\0\x85" .. bytes_of "b" .. "\x87R"
    .. state
end

describe("pickle.decode", function()
  it("reads Python's own files in every protocol", function()
    local images = { type = "array", dtype = "float32", shape = { 2, 3 },
      data = string.pack("<ffffff", 0, 1, 2, 3, 4, 5) }
    local all_bytes = {}
    for byte = 0, 255 do
      all_bytes[byte + 1] = string.char(byte)
    end
    local expected = {
      images = images, again = images, [7] = "seven",
      turned = { type = "array", dtype = "float64", shape = { 3, 2 }, data = string.pack("<dddddd", 0, 1, 2, 3, 4, 5),
        fortran = true },
      big = { type = "array", dtype = "int16", shape = { 3 }, data = string.pack(">i2i2i2", 1, -2, 300),
        byteorder = ">" },
      flags = { type = "array", dtype = "bool", shape = { 2 }, data = "\1\0" },
      labels = { type = "tuple", 1, -2, 70000, 1 << 40, -(1 << 62) },
      list = { type = "list", { type = "scalar", dtype = "float32", value = 0.5 },
        { type = "scalar", dtype = "int64", value = -7 }, { type = "scalar", dtype = "bool", value = true }, 2.5,
        -math.huge, pickle.null, true, "é\n\\ü☃" },
      bytes = { type = "bytes", data = table.concat(all_bytes) },
      scalar = { type = "scalar", dtype = "float64", value = 0.0078125 },
      empty = { type = "list", { type = "tuple" }, { type = "dict", keys = {}, values = {} }, { type = "list" } },
    }
    for protocol = 0, 5 do
      local dict = assert(pickle.decode(support.fixture(("pickle/numpy_protocol%d.pickle"):format(protocol))))
      assert.equal("dict", dict.type)
      assert.same({ "images", "turned", "big", "flags", "labels", "list", "bytes", "scalar", 7, "empty", "again" },
        dict.keys)
      local got = {}
      for index, key in ipairs(dict.keys) do
        got[key] = dict.values[index]
      end
      assert.same(expected, got)
      assert.equal("integer", math.type(got.labels[1]))
      assert.equal(got.images, got.again) -- shared in Python, shared here
    end
  end)

  it("reads the calibration data of Python 2", function()
    local value = assert(pickle.decode(
      "(cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n(I2\ntp6\n"
      .. "cnumpy\ndtype\np7\n(S'u1'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'|'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\n"
      .. "S'\\x07\\n'\np13\ntp14\nb(lp15\nL5L\naF1e-05\naI01\naV\\u00e9\\\\\\U0001F600\natp16\n."))
    assert.same({ type = "tuple", { type = "array", dtype = "uint8", shape = { 2 }, data = "\7\n" },
      { type = "list", 5, 1e-05, true, "é\\\\😀" } }, value)
    assert.same("ab\0'", pickle.decode "U\4ab\0'.")
    assert.same("ab", pickle.decode "T\2\0\0\0ab.")
    assert.same("\\n\n\\x4g\"", pickle.decode "S'\\\\n\\n\\x4g\\\"'\n.")
  end)

  it("returns plain values", function()
    assert.equal(pickle.null, pickle.decode "N.")
    assert.is_false(pickle.decode "\x89.")
    assert.equal(0, pickle.decode "\x8A\0.")
    assert.equal(-1, pickle.decode "\x8A\1\xFF.")
    assert.equal(math.mininteger, pickle.decode "\x8B\8\0\0\0\0\0\0\0\0\0\0\x80.")
    assert.equal(-2.5, pickle.decode "G\xC0\4\0\0\0\0\0\0.")
    assert.same({ type = "dict", keys = { "a", "b" }, values = { 3, 2 } }, pickle.decode("}(" .. text "a" .. "K\1"
      .. text "b" .. "K\2" .. text "a" .. "K\3u."))
    assert.same({ type = "dict", keys = { "a" }, values = { 1 } }, pickle.decode("(" .. text "a" .. "K\1d."))
    assert.same({ type = "dict", keys = { "a" }, values = { false } }, pickle.decode("}" .. text "a" .. "\x89s."))
    assert.same({ type = "list", false, pickle.null }, pickle.decode "(\x89Nl.")
    assert.same({ type = "tuple", false }, pickle.decode "\x89\x94\x85.")
    local nan = pickle.decode "Fnan\n."
    assert.is_true(nan ~= nan)
  end)

  it("takes memo numbers and lengths of every width", function()
    assert.same({ type = "tuple", "x", "x", "x" }, pickle.decode(text "x" .. "r\0\1\0\0j\0\1\0\0\x94h\1\x87."))
    assert.same({ type = "tuple", "x", "x" }, pickle.decode(text "x" .. "r\xFF\xFF\xFF\xFFj\xFF\xFF\xFF\xFF\x86."))
    assert.equal("x", pickle.decode("\x8D\1\0\0\0\0\0\0\0x."))
    assert.same({ type = "bytes", data = "x" }, pickle.decode("\x8E\1\0\0\0\0\0\0\0x."))
    assert.same({ type = "bytes", data = "x" }, pickle.decode("\x96\1\0\0\0\0\0\0\0x."))
    assert.same({ type = "bytes", data = "x" }, pickle.decode("B\1\0\0\0x."))
  end)

  it("executes nothing", function()
    refuses("cos\nsystem\n(S'true'\ntR.", "unsupported", "byte 0: GLOBAL", "'os system'")
    refuses("\x80\4\x8C\8builtins\x8C\4eval\x93\x8C\0011\x85R.", "unsupported", "byte 18: STACK_GLOBAL",
      "'builtins eval'")
    refuses("cnumpy.core.multiarray\nfrombuffer\n.", "unsupported", "GLOBAL", "numpy.core.multiarray frombuffer")
    refuses("cnumpy\nload\n.", "unsupported", "'numpy load'")
    refuses("cnumpy dtype\n\n.", "unsupported", "'numpy dtype '")
    refuses("c_codecs\ndecode\n.", "unsupported", "'_codecs decode'")
    refuses("ccopyreg\n_reconstructor\n.", "unsupported", "copyreg")
    refuses("c__builtin__\nexec\nx\n\27.", "unsupported", "__builtin__ exec")
    refuses("(S'true'\nios\nsystem\n.", "unsupported", "INST", "byte 9")
    refuses("(cos\nsystem\no.", "unsupported", "os system")
    refuses(global "numpy ndarray" .. "K\1\x85R.", "unsupported", "REDUCE", "only be an argument")
    refuses(text "f" .. ")R.", "unsupported", "REDUCE", "call of a str")
    refuses(global "numpy dtype" .. text "f8" .. "R.", "unsupported", "REDUCE", "with a str")
    refuses("]}b.", "unsupported", "BUILD", "state for a list")
  end)

  it("names every opcode that it refuses, and its place", function()
    for opcode, name in pairs {
      ["0"] = "POP", ["1"] = "POP_MARK", ["2"] = "DUP", P = "PERSID", Q = "BINPERSID", i = "INST", o = "OBJ",
      ["\x81"] = "NEWOBJ", ["\x82"] = "EXT1", ["\x83"] = "EXT2", ["\x84"] = "EXT4", ["\x8F"] = "EMPTY_SET",
      ["\x90"] = "ADDITEMS", ["\x91"] = "FROZENSET", ["\x92"] = "NEWOBJ_EX", ["\x97"] = "NEXT_BUFFER",
      ["\x98"] = "READONLY_BUFFER",
    } do
      refuses("N" .. opcode .. "\1\0\0\0.", "unsupported", "pickle: byte 1: " .. name .. ":")
    end
    refuses("NA.", "format", "byte 1: opcode 0x41: unknown")
    refuses("\x80\6N.", "unsupported", "protocol 6")
  end)

  it("knows every byte: 256 opcodes on an empty and on a full stack", function()
    for byte = 0, 255 do
      for _, stack in ipairs { "", "N", "(", "(NN", "])", "}(NN", text "a" .. text "b" } do
        support.survives(pickle.decode, stack .. string.char(byte) .. ".")
        support.survives(pickle.decode, stack .. string.char(byte) .. "\0\0\0\0\0\0\0\0.")
        support.survives(pickle.decode, stack .. string.char(byte) .. "\n\n.")
      end
    end
  end)

  it("checks stack, marks and memo", function()
    refuses(".", "format", "0 values")
    refuses("NN.", "format", "2 values")
    refuses("N(.", "format", "1 marks")
    refuses("N.N", "format", "1 bytes follow")
    refuses("N", "format", "ends after 1 bytes, without STOP")
    refuses("", "format", "ends after 0 bytes")
    refuses("\x85.", "format", "TUPLE1", "expected 1 values on the stack, got 0")
    refuses("NN\x87.", "format", "TUPLE3", "got 2")
    refuses("N(\x85.", "format", "TUPLE1", "got 0")
    refuses("t.", "format", "TUPLE", "no mark")
    refuses("(a.", "format", "APPEND", "empty")
    refuses("}Na.", "format", "APPEND", "expected list on the stack, got dict")
    refuses("](NNu.", "format", "SETITEMS", "expected dict on the stack, got list")
    refuses("}(Nu.", "format", "SETITEMS", "without value")
    refuses("}(NNu.", "unsupported", "SETITEMS", "key is a None")
    refuses("}(G\x7F\xF8\0\0\0\0\0\0Nu.", "unsupported", "key is a float")
    refuses("})Ns.", "unsupported", "SETITEM", "key is a tuple")
    refuses("h\0.", "format", "BINGET", "memo 0 is empty")
    refuses("j\xFF\xFF\xFF\xFF.", "format", "LONG_BINGET", "4294967295")
    refuses("q\0.", "format", "BINPUT")
    refuses("(q\0.", "format", "BINPUT", "got nothing")
    refuses("Npx\n.", "format", "PUT", "memo index")
    refuses("Ng-1\n.", "format", "GET", "memo -1 is empty")
    refuses("NN\x93.", "format", "STACK_GLOBAL")
  end)

  it("bounds every length", function()
    refuses("X\xFF\xFF\xFF\x7F.", "format", "BINUNICODE", "only 1 more")
    refuses("B\xFF\xFF\xFF\xFF.", "format", "BINBYTES", "0xFFFFFFFF")
    refuses("T\xFF\xFF\xFF\xFFab.", "format", "BINSTRING")
    refuses("\x8E\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.", "format", "BINBYTES8")
    refuses("\x8E\0\0\0\0\0\0\0\x40.", "format", "BINBYTES8")
    refuses("\x96\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F.", "format", "BYTEARRAY8")
    refuses("\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.", "format", "BINUNICODE8")
    refuses("\x95\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.", "format", "FRAME")
    refuses("\x95\2\0\0\0\0\0\0\0N.N", "format", "1 bytes follow")
    refuses("\x8B\0\0\0\x80" .. ("x"):rep(100) .. ".", "limit", "LONG4", "2147483648 bytes")
    refuses("\x8A\9" .. ("\0"):rep(9) .. ".", "limit", "LONG1", "9 bytes")
    refuses("L" .. ("9"):rep(20) .. "L\n.", "limit", "64-bit integer")
    refuses("I" .. ("9"):rep(1 << 20) .. "\n.", "format", "64-bit integer")
    refuses("F" .. ("9"):rep(1 << 20) .. "x\n.", "format", "number")
    refuses("I12", "format", "INT", "no end")
    refuses("I0x10\n.", "format", "'0x10'")
    refuses("I1e5\n.", "format", "'1e5'")
    refuses("F0x1p4\n.", "format", "'0x1p4'")
    refuses("F.\n.", "format", "'.'")
    refuses("Sabc\n.", "format", "STRING")
    refuses("S'\n.", "format", "STRING")
    refuses(text "\xFF" .. ".", "format", "no valid UTF-8")
    refuses("V\\ud800\n.", "format", "no valid UTF-8")
  end)

  it("bounds marks, stack, memo, containers, depth and shared size", function()
    refuses(("("):rep(1000) .. ".", "limit", "marks exceed the limit of 64")
    refuses(("]"):rep(100000) .. ".", "format", "100000 values")
    refuses(("N"):rep((1 << 20) + 1) .. ".", "limit", "stack exceed")
    refuses("]" .. ("N\x94a"):rep((1 << 20) + 1) .. ".", "limit", "memo exceed")
    refuses("]" .. ("]a"):rep((1 << 20) + 1) .. ".", "limit", "containers exceed")
    refuses(("]"):rep(1000) .. ("a"):rep(999) .. ".", "limit", "nested deeper than 32")
    assert.truthy(pickle.decode(("]"):rep(32) .. ("a"):rep(31) .. "."))
    refuses(("]"):rep(33) .. ("a"):rep(32) .. ".", "limit", "nested deeper")
    local bomb = ")q\0" -- each tuple holds the one before twice
    for level = 1, 30 do
      bomb = bomb .. "h" .. string.char(level - 1) .. "\x86q" .. string.char(level)
    end
    refuses(bomb .. ".", "limit", "counting shared ones again")
    local value, message, code = pickle.decode("](NNNe.", { items = 3 })
    assert.is_nil(value)
    assert.equal("pickle: more than 3 values, counting shared ones again", message)
    assert.equal("limit", code)
  end)

  it("refuses values that contain themselves", function()
    refuses("]q\0h\0a.", "format", "list contains itself")
    refuses("}q\0" .. text "a" .. "h\0s.", "format", "dict contains itself")
    refuses("]q\0h\0\x85\x85a.", "format", "list contains itself")
    refuses("]q\0\x85q\1h\0h\1a\x86.", "format", "contains itself") -- Python's recursive tuple: t = ([t],)
    refuses("(h\0tq\0.", "format", "memo 0 is empty") -- a tuple cannot name itself before it exists
  end)

  it("bounds copies: one text cannot become bytes again and again", function()
    local again = global "_codecs encode" .. "h\0h\1\x86R"
    local start = "](" .. text(("é"):rep(20000)) .. "q\0" .. text "latin1" .. "q\1"
    assert.truthy(pickle.decode(start .. again .. "e."))
    refuses(start .. again:rep(1000) .. "e.", "limit", "REDUCE", "more bytes are converted")
  end)

  it("converts Latin-1 text only", function()
    local function encode(value, encoding)
      return global "_codecs encode" .. text(value) .. text(encoding or "latin1") .. "\x86R."
    end
    assert.same({ type = "bytes", data = "a\x80\xFF\0" }, pickle.decode(encode "a\u{80}\u{FF}\0"))
    refuses(encode "\u{100}", "format", "beyond U+00FF")
    refuses(encode("a", "utf-8"), "unsupported", "'utf-8'")
    refuses(encode("a", "rot13"), "unsupported", "'rot13'")
  end)

  it("checks what numpy's names are given", function()
    refuses(global "numpy dtype" .. ")R.", "format", "numpy dtype: argument 1: expected str, got nothing")
    refuses(global "numpy dtype" .. "K\1\x85R.", "format", "got int")
    refuses(global "numpy dtype" .. text "O8" .. "\x85R.", "unsupported", "'O8'", "never read")
    refuses(global "numpy dtype" .. text "U5" .. "\x85R.", "unsupported", "'U5'", "text")
    refuses(dtype("f8", "x") .. ".", "format", "byte order")
    refuses((dtype "f8":gsub("NNN", "N)N")) .. ".", "unsupported", "structured")
    refuses(dtype "f8" .. "(K\3" .. text "<" .. "NNNtb.", "format", "second state")
    refuses(dtype "f8" .. "Nb.", "format", "state is a None")
    refuses(dtype "f8" .. ".", "unsupported", "numpy dtype stands where data should")
    refuses(global "numpy dtype" .. ".", "unsupported", "numpy dtype stands where data should")
    refuses(scalar("f8", "1234567") .. ".", "format", "needs 8 bytes, got 7")
    refuses(scalar("f2", "12") .. ".", "unsupported", "float16")
    refuses(scalar("u8", ("\xFF"):rep(8)) .. ".", "unsupported", "uint64", "ffffffffffffffff")
    refuses(global "numpy.core.multiarray scalar" .. dtype "f8" .. "N\x86R.", "format", "expected data, got None")
    refuses(global "numpy.core.multiarray _reconstruct" .. "NNN\x87R.", "format", "expected global, got None")
    local arguments = global "numpy dtype" .. "K\0\x85" .. bytes_of "b" .. "\x87"
    refuses(global "numpy.core.multiarray _reconstruct" .. arguments .. "R.", "unsupported",
      "_reconstruct of numpy dtype")
  end)

  it("checks what arrays are made of", function()
    assert.same({ type = "array", dtype = "int16", shape = { 2 }, data = "abcd" },
      pickle.decode(array("K\2\x85", "i2", "abcd") .. "."))
    assert.same({ type = "array", dtype = "int16", shape = { 1, 2 }, data = "abcd", fortran = true, byteorder = ">" },
      pickle.decode(array("K\1K\2\x86", "i2", "abcd", true, ">") .. "."))
    refuses(array("K\3\x85", "i2", "abcd") .. ".", "format", "(3,) of int16 needs 6 bytes, got 4")
    refuses(array("J\xFF\xFF\xFF\xFF\x85", "i2", "abcd") .. ".", "format", "negative")
    refuses(array("G\0\0\0\0\0\0\0\0\x85", "i2", "") .. ".", "format", "dimension 0 is a float")
    refuses(array("N", "i2", "") .. ".", "format", "state is not")
    refuses(array("\x8A\8\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7FK\2\x86", "i2", "") .. ".", "limit", "overflows")
    refuses(array("(" .. ("K\1"):rep(9) .. "t", "i2", "ab") .. ".", "limit", "rank 9")
    refuses(array("(" .. ("K\1"):rep(100000) .. "t", "i2", "ab") .. ".", "limit", "rank 100000")
    refuses(array("K\1\x85", "i2", "ab") .. "(K\1K\1\x85" .. dtype "i2" .. "\x89" .. bytes_of "ab" .. "tb.", "format",
      "second state")
    local arguments = global "numpy ndarray" .. "K\0\x85" .. bytes_of "b" .. "\x87"
    refuses(global "numpy.core.multiarray _reconstruct" .. arguments .. "R.", "format", "array without content")
    local object = array("K\1\x85", "i2", "ab"):gsub(bytes_of "ab", "]")
    refuses(object .. ".", "format", "state is not")
  end)

  it("reads protocol 5's arrays", function()
    local function from_buffer(order)
      local buffer = "\x96\4\0\0\0\0\0\0\0abcd"
      return global "numpy._core.numeric _frombuffer" .. "(" .. buffer .. dtype "i2" .. "K\2\x85" .. order .. "tR."
    end
    assert.same({ type = "array", dtype = "int16", shape = { 2 }, data = "abcd" }, pickle.decode(from_buffer(text "C")))
    refuses(from_buffer(text "K"), "unsupported", "'K'")
    refuses(from_buffer "N", "format", "expected str")
  end)

  it("refuses every truncation and survives mutation", function()
    local truncations, refused = 0, 0
    for protocol = 0, 5 do
      local bytes = support.fixture(("pickle/numpy_protocol%d.pickle"):format(protocol))
      truncations = truncations + support.refuses_truncations(pickle.decode, bytes)
      refused = refused + support.survives_mutations(pickle.decode, bytes, 500, protocol)
    end
    assert.truthy(truncations > 7000 and refused > 1500)
  end)

  it("survives random programs", function()
    local pieces = { "(", "t", "]", "}", ")", "N", "a", "e", "u", "s", "R", "b", "K\1", "q\0", "h\0", "\x85",
      "\x86", "\x94", "\x93", "l", "d", "\x89", "K\3", text "f8", text "<", text "latin1", bytes_of "ab",
      dtype "f8", array("K\1\x85", "u1", "x"), scalar("u1", "x"), global "numpy dtype", global "numpy ndarray",
      global "_codecs encode",
      global "numpy.core.multiarray scalar", global "numpy.core.multiarray _reconstruct" }
    local state = 42
    for _ = 1, 1000 do
      local program = {}
      for index = 1, 25 do
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        program[index] = pieces[(state >> 8) % #pieces + 1]
        support.survives(pickle.decode, table.concat(program) .. ".")
      end
    end
  end)

  it("raises on misuse", function()
    assert.error_matches(function() pickle.decode(nil) end, "string expected, got nil")
  end)
end)

describe("pickle.decode_table", function()
  it("reads the original's tables", function()
    for name, entries in pairs { tiny = 4, leaky = 25, prelu_per_channel = 25, wide_per_channel = 12 } do
      local expected = dofile("spec/fixtures/pickle/" .. name .. ".lua")
      local got = assert(pickle.decode_table(support.fixture("pickle/" .. name .. ".pickle")))
      assert.equal(#expected, #got)
      assert.equal(entries, #got, name)
      for index, want in ipairs(expected) do
        local scales = {}
        for position, exponent in ipairs(want[3]) do
          scales[position] = 2.0 ^ exponent
        end
        assert.same({ name = want[1], kind = want[2], values = scales }, got[index])
      end
    end
  end)

  it("reads other kinds of numbers", function()
    assert.same({
      { name = "a", kind = "float64", values = { 0.5 } }, { name = "b", kind = "float", values = { 2.0 } },
      { name = "c", kind = "str", values = { "ShapeInfo" } }, { name = "d", kind = "array", values = { 0.5 } },
      { name = "e", kind = "float64", values = { 0.25 } }, { name = "f", kind = "array", values = {} },
    }, pickle.decode_table("}(" .. text "a" .. scalar("f4", string.pack("<f", 0.5)) .. text "b" .. "K\2" .. text "c"
      .. text "ShapeInfo" .. text "d" .. array("K\1\x85", "f4", string.pack("<f", 0.5)) .. text "e"
      .. scalar("f8", string.pack(">d", 0.25), ">") .. text "f" .. array("K\0\x85", "f8", "") .. "u."))
  end)

  it("refuses what is no table, by name", function()
    local function refused(bytes, part, expected)
      local value, message, code = support.survives(pickle.decode_table, bytes)
      assert.is_nil(value)
      assert.truthy(message:find(part, 1, true), message)
      assert.equal(expected or "format", code)
    end
    refused("N.", "holds a None, expected a dict")
    refused("].", "holds a list")
    refused("}.", "the provided quantization table is empty")
    refused("}K\1K\1s.", "key '1' is no str")
    refused("}" .. text "conv\n" .. "Ns.", "entry 'conv\\x0A' is a None")
    refused("}" .. text "a" .. "\x88s.", "is a bool")
    refused("}" .. text "a" .. "]s.", "is a list")
    refused("}" .. text "a" .. scalar("i8", ("\0"):rep(8)) .. "s.", "int64 scalar")
    refused("}" .. text "a" .. array("K\1\x85", "u1", "x") .. "s.", "uint8 array of shape (1,)")
    refused("}" .. text "a" .. array("K\1K\1\x86", "f8", ("\0"):rep(8)) .. "s.", "float64 array of shape (1, 1)")
    refused("}" .. text "a" .. array("K\1\x85", "f2", "ab") .. "s.", "entry 'a' is a float16 array", "unsupported")
    refused("N", "without STOP")
  end)

  it("refuses every truncation and survives mutation", function()
    for _, name in ipairs { "tiny", "leaky", "prelu_per_channel", "wide_per_channel" } do
      local bytes = support.fixture("pickle/" .. name .. ".pickle")
      assert.equal(#bytes, support.refuses_truncations(pickle.decode_table, bytes))
      assert.truthy(support.survives_mutations(pickle.decode_table, bytes, 600) > 200)
    end
  end)
end)

describe("pickle.encode_table", function()
  local function entry(name, kind, ...)
    return { name = name, kind = kind, values = { ... } }
  end

  it("writes the original's bytes where no scalar is shared", function()
    local bytes = support.fixture "pickle/tiny.pickle"
    assert.equal(bytes, pickle.encode_table(pickle.decode_table(bytes)))
  end)

  it("writes what decode_table reads, in order", function()
    for _, name in ipairs { "leaky", "prelu_per_channel", "wide_per_channel" } do
      local entries = pickle.decode_table(support.fixture("pickle/" .. name .. ".pickle"))
      assert.same(entries, pickle.decode_table(pickle.encode_table(entries)))
    end
  end)

  it("writes each kind as Python does", function()
    assert.equal("\x80\3}q\0" .. text "é" .. "q\1G?\xE0\0\0\0\0\0\0s.",
      pickle.encode_table { entry("é", "float", 0.5) })
    assert.equal("\x80\3}q\0(" .. text "a" .. "q\1" .. text "ShapeInfo" .. "q\2" .. text "b" .. "q\3h\2u.",
      pickle.encode_table { entry("a", "str", "ShapeInfo"), entry("b", "str", "ShapeInfo") })
    local scalar_bytes = pickle.encode_table { entry("a", "float64", 1.0) }
    assert.truthy(scalar_bytes:find("C\8\0\0\0\0\0\0\xF0?", 1, true))
    assert.equal("\x80\3}q\0.", pickle.encode_table {})
  end)

  it("writes long arrays, many entries and special values", function()
    local values = {}
    for index = 1, 70000 do
      values[index] = index / 4
    end
    local entries = { entry("long", "array", table.unpack(values, 1, 300)),
      { name = "all", kind = "array", values = values },
      entry("none", "array"), entry("zero", "float64", 0.0), entry("inf", "float64", math.huge) }
    assert.same(entries, pickle.decode_table(pickle.encode_table(entries)))
    for _, count in ipairs { 1, 2, 999, 1000, 1001 } do
      local many = {}
      for index = 1, count do
        many[index] = entry("n" .. index, index % 2 == 0 and "float64" or "array", 2.0 ^ -(index % 30))
      end
      local bytes = pickle.encode_table(many)
      assert.same(many, pickle.decode_table(bytes))
      assert.equal(count == 1000, bytes:sub(-4) == "u(u.") -- Python closes a full batch with an empty one
    end
    for _, kind in ipairs { "float64", "float" } do
      local nan = assert(pickle.decode_table(pickle.encode_table { entry("a", kind, 0 / 0) }))[1].values[1]
      assert.is_true(nan ~= nan)
    end
  end)

  it("refuses names that Python could not load", function()
    local value, message, code = pickle.encode_table { entry("a\xFF", "float", 1.0) }
    assert.is_nil(value)
    assert.equal("pickle table: name 'a\\xFF' is no valid UTF-8", message)
    assert.equal("format", code)
    assert.is_nil((pickle.encode_table { entry("a", "str", "\xFF") }))
  end)

  it("raises on misuse", function()
    for part, entries in pairs {
      ["two entries are named 'a'"] = { entry("a", "float", 1.0), entry("a", "float", 1.0) },
      ["entry 1 has no name or kind"] = { entry("a", "int", 1) },
      ["entry 1 has 2 values"] = { entry("a", "float64", 1.0, 2.0) },
      ["entry 1 has 0 values"] = { entry("a", "str") },
      ["entry 1 holds a string"] = { entry("a", "float", "1") },
    } do
      local ok, message = pcall(pickle.encode_table, entries)
      assert.is_false(ok)
      assert.truthy(message:find(part, 1, true), message)
    end
  end)
end)
