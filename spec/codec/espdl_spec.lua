--- .espdl files: those that esp-ppq wrote are read, written again and read the same; flatc agrees; damage is refused.

local cjson = require "cjson"
local core = require "espquant.core"
local espdl = require "espquant.codec.espdl"
local fixtures = require "spec.support.fixtures"
local flatbuffer = require "espquant.codec.flatbuffer"
local schema = require "espquant.codec.espdl_schema"

-- Every recorded file: f(bytes, name).
local function each_file(f)
  for _, case in ipairs(fixtures.CASES_V3) do
    local pack = fixtures.open(case, "v3")
    for _, name in ipairs(pack.names "%.espdl$") do f(pack.bytes(name), case .. "/" .. name) end
  end
end

local function shell(command, ...)
  local pipe = assert(io.popen(command:format(...) .. " 2>&1"))
  local text = pipe:read "a"
  return text, pipe:close()
end

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function model_of(bytes) return assert(espdl.decode(bytes))[1].model end

describe("espdl", function()
  it("reads and writes what esp-ppq wrote", function()
    local count = 0
    each_file(function(bytes, name)
      local model = model_of(bytes)
      local again = espdl.encode(model)
      assert.same(model, model_of(again), name)
      assert.is_true(again == espdl.encode(model_of(again)), name)
      assert.equal(0, #again % 16)
      count = count + 1
    end)
    print(("  %d files read, written and read again"):format(count))
    assert.equal(52, count)
  end)

  it("has its schema in flatc's language, too #unit", function()
    assert.equal(read "proto/espdl.fbs", (shell '"${ESPQ_BUILD:-build}/bin/espquant" scripts/espdl_fbs.lua'),
      "run build/bin/espquant scripts/espdl_fbs.lua > proto/espdl.fbs")
  end)

  it("keeps parameters at multiples of 16 bytes, so that flatc and the chip read them #unit", function()
    local folder = os.tmpname()
    os.remove(folder)
    shell("mkdir %s", folder)
    local checked = 0
    each_file(function(bytes, name)
      if not name:match "8bit" then return end
      local model = model_of(bytes)
      write(folder .. "/m.bin", espdl.encode(model):sub(17))
      local text, ok = shell("cd %s && flatc --json --raw-binary --strict-json --defaults-json %s -- m.bin", folder,
        shell("realpath proto/espdl.fbs"):gsub("\n", ""))
      assert.is_true(ok, name .. ": " .. text)
      local json = cjson.decode(read(folder .. "/m.json"))
      assert.equal(#model.graph.node, #json.graph.node)
      for i, tensor in ipairs(model.graph.initializer) do
        assert.equal(tensor.name, json.graph.initializer[i].name)
        assert.same(tensor.exponents, json.graph.initializer[i].exponents)
        assert.equal(#tensor.raw_data // 16, #json.graph.initializer[i].raw_data)
        assert.equal(tensor.raw_data:byte(5), json.graph.initializer[i].raw_data[1].bytes[5])
      end
      -- and what flatc writes from its JSON is the model again
      text, ok = shell("cd %s && flatc --binary %s m.json", folder, shell("realpath proto/espdl.fbs"):gsub("\n", ""))
      assert.is_true(ok, text)
      local back = assert(flatbuffer.decode(schema, read(folder .. "/m.bin")))
      assert.equal(model.graph.initializer[1].raw_data, back.graph.initializer[1].raw_data)
      checked = checked + 1
    end)
    shell("rm -r %s", folder)
    print(("  flatc agrees on %d files"):format(checked))
    assert.is_true(checked >= 36)
  end)
end)

describe("espquant.espdl", function()
  it("tells what is in a file", function()
    local entry = assert(espdl.decode(fixtures.open("conv1d_net", "v3").bytes "c_8bit/model.espdl"))[1]
    local facts = require("espquant.espdl").facts(entry)
    assert.same({ name = "input", dtype = "INT8", shape = { 1, 24, 5 }, exponents = { -5 } }, facts.inputs[1])
    assert.same({ name = "conv_w1", dtype = "INT8", shape = { 3, 5, 16 }, exponents = { -7 }, layout = "NWC" },
      facts.parameters[3])
    assert.same({ op_type = "Transpose", name = "PPQ_Operation_0", quant_type = "S8", inputs = { "relu_8_out" },
      outputs = { "PPQ_Variable_0" } }, facts.nodes[3])
    local text = require("espquant.espdl").text(entry)
    assert.matches("\n  Conv 'conv_3' S8 (input, conv_w1, conv_b2) -> relu_4_out\n", text, 1, true)
    assert.matches("\n  test output gemm_12_out: INT8 1x4, exponent -6", text, 1, true)
  end)
end)

describe("espdl packages", function()
  local one = espdl.encode { ir_version = 8, graph = { name = "g", node = {} } }

  local function pdl2(magic, head)
    local name = "a.espdl"
    local data = #magic + #head + 4 + 12 + #name
    local at = (data + 15) // 16 * 16
    return magic .. head .. string.pack("<I4I4I4I4", 1, at, data - #name, #name) .. name .. ("\0"):rep(at - data) .. one
  end

  local function pdl3(bytes)
    local version = ("v1.0" .. ("\0"):rep(12))
    local body = pdl2("PDL3", version .. string.pack("<I4", 0) .. ("\0"):rep(32))
    body = body:sub(1, 20) .. string.pack("<I4", #body) .. body:sub(25)
    local digest = core.sha256(body):gsub("%x%x", function(x) return string.char(tonumber(x, 16)) end)
    return body:sub(1, 24) .. (bytes or digest) .. body:sub(57)
  end

  it("are read", function()
    for _, bytes in ipairs { pdl2("PDL2", ""), pdl3() } do
      local list = assert(espdl.decode(bytes))
      assert.same({ "a.espdl", "g" }, { list[1].name, list[1].model.graph.name })
    end
  end)

  it("are refused where the digest, the size or an offset is wrong", function()
    local function refused(pattern, bytes)
      local list, message, code = espdl.decode(bytes)
      assert.is_nil(list)
      assert.equal("format", code)
      assert.matches(pattern, message)
    end
    refused("SHA%-256 is not that of its bytes", pdl3(("x"):rep(32)))
    refused("says that it has", pdl3() .. "x")
    refused("lie outside of the package", (pdl2("PDL2", ""):gsub("a%.espdl", "", 1):sub(1, 20)))
    refused("begins with '\\x01\\x02\\x03\\x04', expected EDL2", "\1\2\3\4")
    refused("promises 100 bytes of model, the file has 0", "EDL2" .. string.pack("<I4I4I4", 0, 100, 0))
    refused("encryption mode 7", "EDL2" .. string.pack("<I4I4I4", 7, 0, 0))
  end)

  it("are refused where models or names overlap, before they are read a thousand times", function()
    local count, long = 1000, ("n"):rep(500)
    local at = (4 + 4 + 12 * count + #long + 15) // 16 * 16
    for _, case in ipairs { { at, 1 }, { at, #long } } do
      local entry = string.pack("<I4I4I4", case[1], 8 + 12 * count, case[2])
      local bytes = "PDL2" .. string.pack("<I4", count) .. entry:rep(count) .. long
      local list, message, code = espdl.decode(bytes .. ("\0"):rep(at - #bytes) .. one)
      assert.is_nil(list)
      assert.equal("format", code)
      assert.matches("they overlap", message)
    end
  end)

  it("tell of encrypted models", function()
    assert.is_true(espdl.decode("EDL2" .. string.pack("<I4I4I4", 1, 0, 0))[1].encrypted)
  end)
end)

describe("flatbuffers", function()
  -- A list of n references to one table with such a list: n * n tables of a few bytes.
  local function nested(n)
    local function list(target) -- of references that begin 4 bytes behind the list's own count
      local parts = {}
      for i = 0, n - 1 do parts[i + 1] = string.pack("<I4", target - 4 * i) end
      return string.pack("<I4", n) .. table.concat(parts)
    end
    local first = 28 + 4 * n -- the table behind the first list
    return string.pack("<I4I2I2I2I2I2I2", 16, 6, 8, 4, 0, 4, 4) .. string.pack("<i4I4", 12, 4) .. list(4 * n)
      .. string.pack("<i4I4", first - 4, 4) .. list(4 * n) .. string.pack("<i4", first + 12 + 4 * n - 12)
  end

  it("of shared tables are bounded by what they become, not by their bytes", function()
    local own = { root = "T", scalars = {}, enums = {}, structs = {}, unions = {},
      tables = { T = { { "list", { "T" } } } } }
    assert.equal(3, #assert(flatbuffer.decode(own, nested(3))).list[2].list)
    local tables, message, code = flatbuffer.decode(own, nested(1100))
    assert.is_nil(tables)
    assert.equal("limit", code, message)
  end)
end)

describe("damaged espdl files", function()
  -- Either refused with a message, or a model.
  local function survives(bytes)
    local list, message, code = espdl.decode(bytes)
    assert.is_true(list ~= nil or (type(message) == "string" and (code == "format" or code == "limit")), message)
    return list == nil
  end

  it("end in a message or a model: cut at every byte, and with bytes changed", function()
    local bytes = fixtures.open("tiny_conv_relu_gemm", "v3").bytes "c_8bit/model.espdl"
    local seed = 1
    for size = 0, #bytes - 1, 7 do assert.is_true(survives(bytes:sub(1, size)), size) end
    for _ = 1, 600 do
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      local at = (seed >> 4) % (#bytes - 16) + 17
      survives(bytes:sub(1, at - 1) .. string.char((seed >> 13) & 255) .. bytes:sub(at + 1))
    end
  end)

  it("with references in a circle, or shared without end, are refused", function()
    -- a root table whose only field refers to another such table, 200 levels down through shared tables is too deep
    local function file(payload) return "EDL2" .. string.pack("<I4I4I4", 0, #payload, 0) .. payload end
    -- vtable at 4: 4 + 2 * 9 bytes, graph (id 7) at offset 4; a Graph's node (id 0) would be a vector: out of range
    local vtable = string.pack("<I2I2", 20, 8) .. ("\0\0"):rep(7) .. string.pack("<I2", 4)
    local payload = string.pack("<I4", 24) .. vtable .. string.pack("<i4I4", 20, 0)
    local list, message = espdl.decode(file(payload))
    assert.is_nil(list)
    assert.matches("refers outside", message)
    payload = string.pack("<I4", 24) .. vtable .. string.pack("<i4I4", 9999, 4)
    list, message = espdl.decode(file(payload))
    assert.is_nil(list)
    assert.matches("the vtable of Model", message)
  end)

  it("with data that is not aligned are refused", function()
    local bytes = fixtures.open("tiny_conv_relu_gemm", "v3").bytes "c_8bit/model.espdl"
    local list, message = espdl.decode("EDL1" .. bytes:sub(5, 12) .. ("\0"):rep(4) .. bytes:sub(17, -5))
    assert.is_nil(list)
    assert.is_string(message)
  end)

  it("encrypts as AES-128 in counter mode does (NIST SP 800-38A, F.5.1)", function()
    local function bytes(hex) return (hex:gsub("%x%x", function(x) return string.char(tonumber(x, 16)) end)) end
    assert.equal(bytes "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff", core.aes128_ctr(
      bytes "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
      bytes "2b7e151628aed2a6abf7158809cf4f3c", bytes "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
  end)

  it("is read with its key, and with no other", function()
    local model = model_of(fixtures.open("gemm_mlp", "v3").bytes "c_8bit/model.espdl")
    local key = ("k"):rep(16)
    local bytes = espdl.encode(model, key)
    assert.same({ { name = "the model", encrypted = true } }, (assert(espdl.decode(bytes))))
    local entry = assert(espdl.decode(bytes, key))[1]
    assert.same(model, entry.model)
    local none, message, code = espdl.decode(bytes, ("x"):rep(16))
    assert.is_nil(none)
    assert.equal("format", code)
    assert.matches("cannot be read with this key", message)
  end)

  it("packs models by name, and notices damage", function()
    local files, key = {}, ("k"):rep(16)
    for i, case in ipairs { "pools", "gemm_mlp" } do
      local bytes = fixtures.open(case, "v3").bytes "c_8bit/model.espdl"
      files[i] = { name = case .. ".espdl", bytes = i == 1 and espdl.encode(model_of(bytes), key) or bytes }
    end
    local package = espdl.pack(files)
    assert.equal(0, #package % 16)
    assert.is_true(package == espdl.pack { files[2], files[1] })
    local list = assert(espdl.decode(package))
    assert.same({ "gemm_mlp.espdl", "pools.espdl" }, { list[1].name, list[2].name })
    assert.is_true(list[2].encrypted)
    assert.same(model_of(files[2].bytes), list[1].model)
    assert.is_table(assert(espdl.decode(package, key))[2].model)
    local none, message = espdl.decode(package:sub(1, -17) .. ("\1"):rep(16))
    assert.is_nil(none)
    assert.matches("damaged", message)
  end)
end)
