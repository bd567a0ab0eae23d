local json = require "espquant.json"
local support = require "spec.support.codec"

local function raises(part, value)
  local ok, message = pcall(json.encode, value)
  assert.is_false(ok)
  assert.truthy(message:find(part, 1, true), message)
end

local function refuses(text, code, part, limits)
  local value, message, got = support.survives(function(data) return json.decode(data, limits) end, text)
  assert.is_nil(value)
  assert.truthy(message:find(part, 1, true), message)
  assert.equal(code, got)
end

describe("json.encode", function()
  it("writes scalars", function()
    for expected, value in pairs {
      ["true"] = true, ["false"] = false, ["null"] = json.null, ['"a"'] = "a", ['""'] = "", ["0"] = 0, ["-7"] = -7,
      ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger,
    } do
      assert.equal(expected, json.encode(value))
    end
  end)

  it("writes each number in its shortest form that reads back", function()
    for expected, value in pairs {
      ["0.1"] = 0.1, ["0.3333333333333333"] = 1 / 3, ["0.30000000000000004"] = 0.1 + 0.2, ["3"] = 3.0, ["-0"] = -0.0,
      ["1e+300"] = 1e300, ["4.94065645841247e-324"] = 5e-324, ["1.7976931348623157e+308"] = 0x1.fffffffffffffp1023,
      ["0.0078125"] = 2.0 ^ -7, ["9007199254740993"] = 9007199254740993, ["123456789012345"] = 123456789012345.0,
    } do
      assert.equal(expected, json.encode(value))
      assert.equal(value, tonumber(expected))
    end
    local state = 1
    for _ = 1, 2000 do
      state = state * 6364136223846793005 + 1442695040888963407
      local value = string.unpack("d", string.pack("i8", state))
      if value == value and math.abs(value) < math.huge then
        assert.equal(value, tonumber(json.encode(value)) + 0.0)
      end
    end
  end)

  it("escapes strings into valid UTF-8", function()
    assert.equal([["\"\\\/"]], (json.encode('"\\/'):gsub("/", "\\/")))
    assert.equal([["\b\f\n\r\t\u0000\u001f\u007f"]], json.encode "\b\f\n\r\t\0\x1F\x7F")
    assert.equal('"é☃😀"', json.encode "é☃😀")
    assert.equal([["a\u00ffé\u00c3"]], json.encode "a\xFFé\xC3")
    assert.equal([["\u00ed\u00a0\u0080"]], json.encode "\xED\xA0\x80") -- a surrogate
    assert.equal([["\u00c0\u0080"]], json.encode "\xC0\x80") -- an overlong NUL
    assert.equal([["\u0080\u0081"]], json.encode "\x80\x81")
    for byte = 0, 255 do
      for _, text in ipairs { string.char(byte), "é" .. string.char(byte) .. "z", "\xE2" .. string.char(byte) } do
        local encoded = json.encode(text)
        assert.truthy(utf8.len(encoded))
        assert.is_nil(encoded:find "%c")
        assert.equal(utf8.len(text) and text or json.decode(encoded), json.decode(encoded))
      end
    end
  end)

  it("tells arrays from objects", function()
    assert.equal("[]", json.encode(json.array()))
    assert.equal("{}", json.encode(json.object()))
    assert.equal("[]", json.encode(json.array {}, { indent = 2 }))
    assert.equal("[1, 2]", json.encode { 1, 2 })
    assert.equal("[1, null]", json.encode(json.array { 1, json.null }))
    assert.equal('{"a": 1}', json.encode { a = 1 })
    assert.equal('{"1": 1}', json.encode { ["1"] = 1 })
    assert.equal("[[], {}, [[1]]]", json.encode { json.array(), json.object(), { { 1 } } })
  end)

  it("sorts keys by bytes, whatever the insertion order", function()
    local names = { "b", "B", "a", "aa", "a.b", "a_b", "é", "10", "9", "" }
    local expected = '{"": 1, "10": 1, "9": 1, "B": 1, "a": 1, "a.b": 1, "a_b": 1, "aa": 1, "b": 1, "é": 1}'
    for turn = 1, #names do
      local value = {}
      for index = 1, #names do
        value[names[(index + turn) % #names + 1]] = 1
      end
      assert.equal(expected, json.encode(value))
    end
  end)

  it("breaks lines as asked", function()
    local value = { b = { 1, { 2 } }, a = json.array(), c = { x = { y = 1 } } }
    assert.equal('{"a": [], "b": [1, [2]], "c": {"x": {"y": 1}}}', json.encode(value))
    assert.equal('{"a": [], "b": [1, [2]], "c": {"x": {"y": 1}}}', json.encode(value, { levels = 1 }))
    assert.equal(json.encode(value), json.encode(value, { indent = 2, levels = 0 }))
    assert.equal('{\n  "a": [],\n  "b": [1, [2]],\n  "c": {"x": {"y": 1}}\n}',
      json.encode(value, { indent = 2, levels = 1 }))
    assert.equal([[
{
  "a": [],
  "b": [
    1,
    [
      2
    ]
  ],
  "c": {
    "x": {
      "y": 1
    }
  }
}]], json.encode(value, { indent = 2 }))
  end)

  it("writes a quantization table with one tensor a line", function()
    assert.equal([[
{
 "bits": 8,
 "format": "espquant-table",
 "seams": [
  {"exponent": -2, "tensor": "relu_4_out"}
 ],
 "tensors": {
  "conv1.weight": {"bits": 8, "exponents": [-7, null], "kind": "weight"},
  "conv1_out": {"exponents": [-4], "range": [-6.1, 5.9]}
 }
}]], json.encode({
      format = "espquant-table", bits = 8, seams = { { tensor = "relu_4_out", exponent = -2 } },
      tensors = {
        conv1_out = { exponents = { -4 }, range = { -6.1, 5.9 } },
        ["conv1.weight"] = { kind = "weight", bits = 8, exponents = { -7, json.null } },
      },
    }, { indent = 1, levels = 2 }))
  end)

  it("raises on what JSON cannot hold, naming its place", function()
    raises("$.a.b[2]: an empty table", { a = { b = { 1, {} } } })
    raises("$.range[2]: inf has no JSON form", { range = { 1, math.huge } })
    raises("nan has no JSON form", 0 / 0)
    raises("$[1]: a function has no JSON form", { print })
    raises("$: the key 2 of an object is no string", { a = 1, [2] = 3 })
    raises("$: the key a of an array", { 1, a = 2 })
    raises("$[2]: a nil has no JSON form", json.array { 1, nil, 3 }) -- a hole
    raises("$: the key a of an array", json.array { a = 1 })
    raises("$: the key 1 of an object", json.object { 1 })
    raises("$: the key 1.5 of an object", { [1.5] = 1 })
    raises("a nil has no JSON form", nil)
    local loop = {}
    loop.again = loop
    raises("contains itself", loop)
  end)

  it("keeps its own marks only: other metatables change nothing", function()
    assert.equal("[1]", json.encode(setmetatable({ 1 }, { __name = "other" })))
    raises("an empty table", setmetatable({}, { __name = "other" }))
  end)
end)

describe("json.decode", function()
  it("reads what encode writes", function()
    local value = {
      text = "é\n\"\\/\0", list = { 1, -2, 0.5, true, false, json.null }, nested = { a = { b = { 1 } } }, big = 2 ^ 60,
    }
    assert.same(value, json.decode(json.encode(value)))
    assert.same(value, json.decode(json.encode(value, { indent = 3, levels = 2 })))
  end)

  it("gives integers for integral numbers", function()
    local value = json.decode '{"a": 8, "b": [-7, 1.0, 0.5, 1e3, 9007199254740992, 1e300]}'
    assert.equal("integer", math.type(value.a))
    assert.same({ "integer", "integer", "float", "integer", "integer", "float" }, {
      math.type(value.b[1]), math.type(value.b[2]), math.type(value.b[3]), math.type(value.b[4]), math.type(value.b[5]),
      math.type(value.b[6]) })
    assert.equal('{"a": 8, "b": [-7, 1, 0.5, 1000, 9007199254740992, 1e+300]}', json.encode(value))
  end)

  it("reads null, false and scalars at the top", function()
    assert.equal(json.null, json.decode "null")
    assert.is_false(json.decode "false")
    assert.equal("a", json.decode ' "a" ')
    assert.equal(3, json.decode "3")
  end)

  it("refuses what is no JSON", function()
    for _, text in ipairs {
      "", " ", "{", "[1,]", "{a: 1}", "{'a': 1}", "[1] [2]", "nul", "NaN", "[Infinity]", "[0x10]", "[01]", "[-]", '"a',
      '["\\ud800"]', '["\\q"]', "[1 2]", '{"a" 1}', '{"a": }', "\0", '["a\0b"]', "return 1", "\27Lua", "// a\n1",
    } do
      refuses(text, "format", "json: ")
    end
  end)

  it("tells the keys of the outer object in their order", function()
    local text = '{"z": {"c": [{"d": 1}]}, "a\\u0062": "x\\"{", "": [], "b" : {"z": 0}, "a": 2}'
    assert.is_truthy(json.decode(text))
    assert.same({ "z", "ab", "", "b", "a" }, json.keys(text))
    assert.same({}, json.keys "[1]")
  end)

  it("refuses a key that comes twice", function()
    refuses('{"a": 1, "a": 2}', "format", 'the key "a" comes twice')
    refuses('[{"x": {"b\\u0061": 1, "c": [{"ba": 3}], "ba" : 2}}]', "format", 'the key "ba" comes twice')
    refuses('{"": 1, "": 2}', "format", 'the key "" comes twice')
    refuses('{"\\"{": 1, "\\"{": 2}', "format", "comes twice")
    assert.same({ a = "a", b = { a = { "a", "a" } }, ["\\"] = 1, ["\\\\"] = 2 },
      json.decode '{"a": "a", "b": {"a": ["a", "a"]}, "\\\\": 1, "\\\\\\\\": 2}')
    assert.same({ { a = 1 }, { a = 1 } }, json.decode '[{"a": 1}, {"a": 1}]')
  end)

  it("obeys its limits", function()
    refuses("[1, 2]", "limit", "6 bytes, the limit is 5", { size = 5 })
    refuses("[[1]]", "limit", "nested", { depth = 1 })
    refuses(("["):rep(65) .. ("]"):rep(65), "limit", "nested")
    refuses(("["):rep(100000), "limit", "nested")
    refuses(('{"a":'):rep(100000), "limit", "nested")
    assert.truthy(json.decode(("["):rep(64) .. ("]"):rep(64)))
    local given = {}
    assert.truthy(json.decode("[1]", given))
    assert.is_nil(getmetatable(given))
  end)

  it("refuses every truncation and survives mutation", function()
    local text = json.encode({ a = { 1, 2.5, { b = "é\\\"\n" } }, c = { d = true, e = json.null }, f = "{[:,]}" },
      { indent = 1, levels = 2 })
    assert.equal(#text, support.refuses_truncations(json.decode, text))
    assert.truthy(support.survives_mutations(json.decode, text, 4000) > 2000)
  end)

  it("raises on misuse", function()
    assert.error_matches(function() json.decode {} end, "string expected, got table")
  end)
end)
