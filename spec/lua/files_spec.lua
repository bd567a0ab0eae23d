--- Files, checksums, unpacking and the process from Lua; the public table and its .npy files.

local core = require "espquant.core"

-- A path for a new file.
local function scratch(name)
  local path = os.tmpname()
  os.remove(path)
  return path .. "." .. name
end

describe("core.read_file and core.write_file", function()
  it("carry any bytes", function()
    local path, bytes = scratch "bin", ("\0\1\255 x"):rep(1000)
    assert.is_true(core.write_file(path, bytes))
    assert.equal(bytes, core.read_file(path))
    assert.is_true(core.write_file(path, ""))
    assert.equal("", core.read_file(path))
    os.remove(path)
  end)

  it("say what the system refused, with the path", function()
    local cases = {
      { "io", "/nonexistent/file", core.read_file "/nonexistent/file" },
      { "io", "/nonexistent/file", core.write_file("/nonexistent/file", "x") },
      { "io", "spec", core.read_file "spec" },
      { "io", "/dev/zero", core.read_file "/dev/zero" },
      { "limit", "README.md|LICENSE", core.read_file("LICENSE", 10) },
    }
    for i, case in ipairs(cases) do
      assert.is_nil(case[3], "case " .. i)
      assert.equal(case[1], case[5], "case " .. i)
      local found = false
      for path in case[2]:gmatch "[^|]+" do found = found or case[4]:find(path, 1, true) ~= nil end
      assert.is_true(found, case[4])
    end
  end)

  it("read a part, and tell the size of the whole", function()
    local path = scratch "part"
    assert(core.write_file(path, "0123456789"))
    for _, case in ipairs { { 0, 4, "0123" }, { 8, 4, "89" }, { 10, 1, "" }, { 1 << 40, 5, "" }, { 3, 0, "" } } do
      assert.same({ case[3], 10 }, { core.read_part(path, case[1], case[2]) })
    end
    os.remove(path)
    for _, name in ipairs { path, "/dev/zero", "spec" } do
      local bytes, message, code = core.read_part(name, 0, 4)
      assert.same({ nil, "io" }, { bytes, code })
      assert.truthy(message:find(name, 1, true))
    end
    assert.error_matches(function() core.read_part(path, -1, 4) end, "an offset expected")
    assert.error_matches(function() core.read_part(path, 0, -4) end, "a number of bytes expected")
  end)

  it("raise for misuse", function()
    assert.error_matches(function() core.read_file() end, "string expected")
    assert.error_matches(function() core.read_file "a\0b" end, "without zero bytes")
    assert.error_matches(function() core.read_file("LICENSE", -1) end, "a number of bytes expected")
    assert.error_matches(function() core.write_file "x" end, "string expected")
    assert.error_matches(function() core.write_files({ "x" }, {}) end, "as many texts as paths")
    assert.error_matches(function() core.write_files({ 1 }, { "x" }) end, "a list of strings expected")
    assert.error_matches(function() core.write_files({ "a\0b" }, { "x" }) end, "without zero bytes")
  end)
end)

-- Deflate without compression: blocks of at most 65535 bytes.
local function stored(text)
  local out = {}
  for at = 1, math.max(#text, 1), 65535 do
    local part = text:sub(at, at + 65534)
    out[#out + 1] = string.pack("<BI2I2", at + 65535 > #text and 1 or 0, #part, #part ~ 0xFFFF) .. part
  end
  return table.concat(out)
end

describe("core.inflate", function()
  -- zlib.compress(b"abc" * 100)
  local packed = "\x78\x9c\x4b\x4c\x4a\x4e\x1c\x45\xc4\x21\x00\x88\x4d\x72\xd9"

  it("unpacks raw and zlib streams", function()
    local text = ("some text "):rep(20000)
    assert.equal(text, core.inflate(stored(text), nil, true))
    assert.equal("", core.inflate(stored "", 0, true))
    local checked = "\x78\x01" .. stored "abc" .. string.pack(">I4", 0x024d0127)
    assert.equal("abc", core.inflate(checked))
    assert.equal(("abc"):rep(100), core.inflate(packed))
  end)

  it("stops at the limit", function()
    local text = ("x"):rep(100000)
    assert.equal(text, core.inflate(stored(text), 100000, true))
    local bytes, message, code = core.inflate(stored(text), 99999, true)
    assert.same({ nil, "limit" }, { bytes, code })
    assert.matches("more than 99999 bytes", message)
  end)

  it("refuses what is damaged, short, or followed by more", function()
    local good = stored "hello"
    for text, pattern in pairs {
      [""] = "end too early",
      [good:sub(1, -2)] = "end too early",
      [good .. "x"] = "1 bytes follow",
      ["\7\0\0\0\0"] = "damaged",
    } do
      local bytes, message, code = core.inflate(text, nil, true)
      assert.same({ nil, "format" }, { bytes, code })
      assert.matches(pattern, message)
    end
    assert.matches("damaged.*incorrect data check", (select(2, core.inflate(packed:sub(1, -2) .. "x"))))
    assert.matches("end too early", (select(2, core.inflate(packed:sub(1, 8)))))
  end)
end)

describe("checksums", function()
  it("are the standard ones", function()
    assert.equal(0xCBF43926, core.crc32 "123456789")
    assert.equal(0, core.crc32 "")
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", core.sha256 "abc")
    assert.equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      core.sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", core.sha256(("a"):rep(1000000)))
  end)

  it("of SHA-256 are right at every length around a block", function()
    local known = {
      [55] = "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318",
      [56] = "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a",
      [63] = "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34",
      [64] = "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb",
      [65] = "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0",
    }
    for length, hex in pairs(known) do assert.equal(hex, core.sha256(("a"):rep(length))) end
  end)
end)

describe("the process", function()
  it("has a clock, a memory peak, and files that are no terminals", function()
    local before = core.clock()
    assert.is_true(core.clock() >= before)
    assert.is_true(core.peak_rss() > 1 << 20)
    assert.is_false(core.isatty(99))
    assert.is_false(core.isatty(-1))
    assert.is_false(core.isatty(1 << 40))
  end)
end)

describe("the public table", function()
  local function run(code)
    local path = scratch "lua"
    core.write_file(path, code)
    local pipe = io.popen(("LUA_PATH='%s' LUA_CPATH='%s' lua5.4 %s 2>&1"):format(package.path, package.cpath, path))
    local out = pipe:read "a"
    pipe:close()
    os.remove(path)
    return out
  end

  it("loads its fields when asked, and sets no global", function()
    assert.equal("true\tnil\tnil\n", run [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local espquant = require "espquant"
      local lazy = package.loaded["espquant.core"] == nil
      local unknown = espquant.nonsense
      local tensor = espquant.tensor { 1, 2 }
      local global
      for name in pairs(_G) do if not before[name] then global = name end end
      print(lazy and tensor.count == 2 and espquant.version == require "espquant.version", unknown, global)
    ]])
  end)

  it("makes tensors and graphs", function()
    local espquant = require "espquant"
    assert.same({ { 1, 2 }, { 3, 4 } }, espquant.tensor({ { 1, 2 }, { 3, 4 } }, "int8"):totable())
    assert.same({ 2, 2 }, espquant.tensor.zeros({ 2, 2 }).shape)
    assert.equal("g", espquant.graph({ name = "g" }).name)
  end)

  it("reads and writes .npy files", function()
    local espquant = require "espquant"
    local path = scratch "npy"
    local t = core.tensor_from({ { 1, -2, 3 }, { 4, 5, 6 } }, "int16")
    assert.is_true(espquant.npy.save(path, t))
    assert.is_true(espquant.npy.load(path):equal(t))
    core.write_file(path, "no array")
    local u, message, code = espquant.npy.load(path)
    os.remove(path)
    assert.same({ nil, "format" }, { u, code })
    assert.equal(path, message:sub(1, #path))
    assert.same({ nil, "io" }, { espquant.npy.load(path), select(3, espquant.npy.load(path)) })
  end)
end)
