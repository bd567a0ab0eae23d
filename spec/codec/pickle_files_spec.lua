-- Pickles that Python wrote (scripts/import/pickles.py), and the limits of what we write and read.

local cjson = require "cjson"
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local pickle = require "espquant.codec.pickle"
local support = require "spec.support.codec"
local writer = require "espquant.codec.pickle_writer"

-- Files of one kind, in order of their names: kind.pyX.Y_npA.B.C.pN.pickle.
local function each(kind, visit)
  local pack = fixtures.open("python", "pickle")
  local names = pack.names("^" .. kind .. "%..*%.pickle$")
  for _, name in ipairs(names) do visit(pack.bytes(name), name, pack.files[kind .. ".json"]) end
  return #names
end

local function numbers(list, kind)
  local out = {}
  for i, text in ipairs(list) do out[i] = kind == "str" and text or tonumber(text) end
  return out
end

describe("a table that Python wrote", function()
  for kind, files in pairs { small = 11, long = 3 } do
    it("is read in every protocol, by numpy 1 and 2: " .. kind, function()
      assert.equal(files, each(kind, function(bytes, name, json)
        local expected, got = cjson.decode(json), assert(pickle.decode_table(bytes))
        assert.equal(#expected, #got)
        for i, want in ipairs(expected) do
          assert.same({ name = want[1], kind = want[2], values = numbers(want[3], want[2]) }, got[i], name)
        end
      end))
    end)
  end

  it("is written again byte for byte, when it is of the original's protocol and numpy", function()
    for _, kind in ipairs { "small", "long" } do
      each(kind, function(bytes, name)
        local again = assert(pickle.encode_table((pickle.decode_table(bytes))))
        assert.equal(name:match "np1.*p3.pickle" ~= nil, again == bytes, name)
      end)
    end
  end)

  it("is refused in every truncation, and mutated never raises", function()
    local refused = 0
    each("small", function(bytes, name)
      if name:match "p5" then support.refuses_truncations(pickle.decode_table, bytes) end
      refused = refused + support.survives_mutations(pickle.decode_table, bytes, 100, #name)
    end)
    assert.is_true(refused > 500, refused)
  end)
end)

describe("arrays that Python wrote", function()
  local DTYPES = {
    f4 = "float32", f8 = "float64", f2 = "float16", i1 = "int8", i2 = "int16", i4 = "int32", i8 = "int64", u1 = "uint8",
    u2 = "uint16", u4 = "uint32", u8 = "uint64", ["?"] = "bool",
  }

  it("are the same tensors in every protocol, type and order", function()
    local want = {}
    for i = 1, 12 do want[i] = i - 1 end
    assert.equal(11, each("arrays", function(bytes, name)
      local dict = assert(pickle.decode(bytes))
      assert.equal(28, #dict.keys)
      for i, key in ipairs(dict.keys) do
        local array = dict.values[i]
        assert.equal("array", array.type)
        array.type = nil
        local tensor = assert(core.tensor_frombytes(array))
        local dtype = DTYPES[key:match "^>?([%w?]+)"]
        assert.equal(dtype, tensor.dtype)
        assert.same({ 2, 2, 3 }, tensor.shape)
        local list = tensor:astype "int64":reshape({ -1 }):totable()
        if dtype == "bool" then assert.same({ 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, list)
        else assert.same(want, list, name .. " " .. key) end
      end
    end))
  end)
end)

describe("the size of a table", function()
  local function table_of(count, kind)
    local list = {}
    for i = 1, count do list[i] = { name = "tensor_" .. i, kind = kind, values = { 0.5 } } end
    return list
  end

  it("has one limit for what is written and what is read #unit", function()
    local bytes = assert(pickle.encode_table(table_of(writer.MAX_ENTRIES, "array"))) -- has the most memo numbers
    assert.equal(writer.MAX_ENTRIES, #assert(pickle.decode_table(bytes)))
  end)

  it("is refused beyond the limit, both ways", function()
    local limit = writer.MAX_ENTRIES
    local bytes, message, code = pickle.encode_table(table_of(limit + 1, "float"))
    assert.same({ nil, "pickle table: 100001 entries, the limit is 100000", "limit" }, { bytes, message, code })
    writer.MAX_ENTRIES = limit + 1
    bytes = assert(pickle.encode_table(table_of(limit + 1, "float")))
    writer.MAX_ENTRIES = limit
    local t
    t, message, code = pickle.decode_table(bytes)
    assert.same({ nil, "pickle table: 100001 entries, the limit is 100000", "limit" }, { t, message, code })
  end)
end)
