-- The quantization table: order, the original's pickles, our JSON, and what is wrong with files.

local core = require "espquant.core"
local qtable = require "espquant.qtable"
local fixtures = require "spec.support.fixtures"

local ZERO, INF, NAN = -math.huge, math.huge, -(0 / 0) -- the NaN that has no sign on x86

local function temporary(name)
  local path = os.tmpname()
  os.remove(path)
  return path .. name
end

local function with_file(name, bytes, run)
  local path = temporary(name)
  assert(core.write_file(path, bytes))
  local results = table.pack(run(path))
  os.remove(path)
  return table.unpack(results, 1, results.n)
end

local function load_bytes(bytes, name)
  return with_file(name or ".json", bytes, qtable.load)
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function sample()
  local t = qtable.new { runtime = "v1", mode = "chip", bits = 8, granularity = "per-channel", method = "minmax" }
  t:set("input", "input", { -7 })
  t:set("zz", "activation", { -3 })
  t:set("dead", "activation", { ZERO })
  t:set("shape", "shape", {})
  t:set("w", "weight", { -7, -6, -15 })
  t:set("b", "bias", { -10, -9, -18 })
  t:set("leaky_alpha", "alpha", { -10 })
  return t
end

-- Name, kind, exponents of all entries; NaN as text, since it equals nothing.
local function contents(t)
  local list = {}
  for i, entry in ipairs(t.entries) do
    local numbers = {}
    for k, e in ipairs(entry.exponents or entry.scales) do numbers[k] = e ~= e and "nan" or e end
    list[i] = { entry.name, entry.kind, numbers }
  end
  return list
end

describe("a quantization table", function()
  it("keeps the order of first setting, and finds entries by name", function()
    local t = sample()
    t:set("zz", "activation", { -5 })
    assert.equal("zz", t.entries[2].name)
    assert.equal(7, #t.entries)
    assert.equal(-5, t:exponent "zz")
    assert.same({ -7, -6, -15 }, t:get("w").exponents)
    assert.is_nil(t:get "none")
    assert.is_nil(t:exponent "none")
    assert.is_nil(t:exponent "shape")
    assert.is_nil(t:scales "none")
    assert.is_nil(t:scales "shape")
    assert.same({ 0.0 }, t:scales "dead")
    assert.same({ 2.0 ^ -7, 2.0 ^ -6, 2.0 ^ -15 }, t:scales "w")
    assert.is_true(qtable.is(t))
    assert.is_false(qtable.is {})
  end)

  it("refuses what is no entry", function()
    local t = sample()
    assert.error_matches(function() t:set(1, "input", { -7 }) end, "name of a tensor expected")
    assert.error_matches(function() t:set("x", "inputs", { -7 }) end, "no kind 'inputs'")
    assert.error_matches(function() t:set("x", "input", {}) end, "no exponent")
    assert.error_matches(function() t:set("x", "input", { -7.5 }) end, "-7.5 is no exponent")
    assert.error_matches(function() t:set("x", "input", { "-7" }) end, "is no exponent")
    assert.is_nil(t:get "x")
  end)

  it("prints every entry, abbreviating long ones", function()
    local t = sample()
    local many = {}
    for i = 1, 300 do many[i] = -i end
    t:set("big", "weight", many)
    local text = tostring(t)
    assert.matches("^quantization table: v1 int8 per%-channel minmax chip, 8 entries\n", text)
    assert.matches("\n  input +input +2%^%-7\n", text)
    assert.matches("\n  dead +activation +2%^%-inf\n", text)
    assert.matches("\n  shape +shape +%(shape%)\n", text)
    assert.matches("2%^%-1 %-2 %-3 %-4 %-5 %-6 %-7 %-8 %.%.%. 300 in all$", text)
    assert.equal("quantization table: v1 width unknown minmax, 0 entries", tostring(qtable.new { method = "minmax" }))
  end)

  it("tells how numbers become the input's integers", function()
    assert.equal("input: integer = round(x * 2^7), halves to even, clipped to [-128, 127]; x = integer * 2^-7",
      sample():input_recipe())
    local t = qtable.new { bits = 16 }
    t:set("a", "activation", { -3 })
    assert.equal("", t:input_recipe())
    t:set("x", "input", { 2 })
    t:set("y", "input", { -15 })
    assert.matches("^x: integer = round%(x %* 2%^%-2%), [^\n]*%[%-32768, 32767%]; x = integer %* 2%^2\ny: ",
      t:input_recipe())
    t:set("y", "input", { ZERO })
    assert.is_nil(t:input_recipe():find "\n")
  end)

  it("sums up the kinds, special scales left out", function()
    local t = sample()
    t:set("odd", "activation", { NAN })
    t:set("hot", "activation", { INF })
    local text = t:summary()
    assert.matches("input +1  2%^%-7\n", text)
    assert.matches("activation +4  2%^%-3\n", text)
    assert.matches("weight +1  2%^%-15 to 2%^%-6", text)
    assert.matches("shape +1  \n", text)
  end)
end)

describe("a table as pickle", function()
  -- The original's own files: every pickle of the packed cases.
  local function each_pickle(visit)
    local n = 0
    for _, name in ipairs(fixtures.CASES) do
      local case = fixtures.open(name)
      for _, config in ipairs(fixtures.CONFIGURATIONS) do
        local path = config.name .. "/table.pickle"
        if case.has(path) then
          visit(case, config, case.bytes(path), case.json(config.name .. "/table.json"))
          n = n + 1
        end
      end
    end
    return n
  end

  local KIND_OF_FORM = { float = "alpha", str = "shape" }

  it("reads what the original wrote, and writes the same bytes again", function()
    local entries, same = 0, 0
    local n = each_pickle(function(case, config, bytes, recorded)
      local t = assert(load_bytes(bytes, ".pickle"))
      for i, name in ipairs(recorded.order) do
        local entry = t.entries[i]
        assert.equal(name, entry.name)
        assert.equal(recorded.kinds[name], entry.form)
        assert.equal(KIND_OF_FORM[entry.form], entry.kind)
        for k, e in ipairs(recorded.exponents[name]) do
          assert.equal(e == "-inf" and ZERO or math.tointeger(e), entry.exponents[k], case.name .. config.name .. name)
        end
        entries = entries + 1
      end
      assert.equal(#recorded.order, #t.entries)
      local again = assert(load_bytes(assert(t:to_pickle()), ".pickle"))
      assert.same(contents(t), contents(again))
      same = same + (t:to_pickle() == bytes and 1 or 0)
      local other = assert(load_bytes(t:to_json())) -- .json, .pickle and what is printed tell the same
      assert.same(contents(t), contents(other))
      assert.equal(t:to_json(), other:to_json())
      assert.equal(tostring(t) .. t:input_recipe(), tostring(other) .. other:input_recipe())
      assert.matches("^input[%w.]*: integer = round%(x %* 2%^%-?%d+%)", t:input_recipe())
    end)
    print(("\n%d pickles of the original with %d entries read; %d written again byte for byte"):format(n, entries,
      same))
    assert.same({ n, 144 }, { same, n })
  end)

  it("writes each kind as the original's Python type", function()
    local pickle = require "espquant.codec.pickle"
    local list = assert(pickle.decode_table(assert(sample():to_pickle())))
    local kinds = {}
    for i, item in ipairs(list) do kinds[i] = item.name .. " " .. item.kind end
    assert.same({
      "input float64", "zz float64", "dead float64", "shape str", "w array", "b array", "leaky_alpha float",
    }, kinds)
    local t = sample()
    t:set("zz", "activation", { -3, -4 }) -- no model has such a tensor, but JSON can say so
    assert.same("array", pickle.decode_table(assert(t:to_pickle()))[2].kind)
    assert.same({ 2.0 ^ -7, 2.0 ^ -6, 2.0 ^ -15 }, list[5].values)
    assert.same({ "ShapeInfo" }, list[4].values)
  end)

  it("keeps a scale that is no power of two, zero, infinity and NaN", function()
    local pickle = require "espquant.codec.pickle"
    local bytes = assert(pickle.encode_table {
      { name = "a", kind = "float64", values = { 0.3 } }, { name = "z", kind = "float64", values = { 0.0 } },
      { name = "i", kind = "float64", values = { INF } }, { name = "n", kind = "float64", values = { NAN } },
      { name = "w", kind = "array", values = { 0.5, 0.3 } },
    })
    local t = assert(load_bytes(bytes, ".pickle"))
    assert.same({ { "a", nil, { 0.3 } }, { "z", nil, { ZERO } }, { "i", nil, { INF } }, { "n", nil, { "nan" } },
      { "w", nil, { 0.5, 0.3 } } }, contents(t))
    assert.same({ 0.5, 0.3 }, t:scales "w")
    assert.is_nil(t:get("w").exponents)
    assert.equal(bytes, t:to_pickle())
    assert.matches("a +scale 0%.3", tostring(t))
    local u = assert(load_bytes(t:to_json()))
    assert.same(contents(t), contents(u))
    assert.equal(bytes, u:to_pickle())
  end)

  it("tells all entries that are no scales", function()
    local bytes = "}(X\1\0\0\0aNX\1\0\0\0bG?\xE0\0\0\0\0\0\0X\1\0\0\0c]K\7K\1u."
    local t, message, code, problems = load_bytes(bytes, ".pickle")
    assert.same({ nil, "format" }, { t, code })
    assert.matches("pickle: pickle table: 3 entries are no scales$", message)
    assert.same({
      "pickle table: entry 'a' is a None, expected a float, numpy float64, array or str",
      "pickle table: entry 'c' is a list, expected a float, numpy float64, array or str",
      "pickle table: key '7' is no str",
    }, problems)
  end)

  it("takes no float for a slope where all scalars are floats", function()
    local pickle = require "espquant.codec.pickle"
    local t = assert(load_bytes(assert(pickle.encode_table {
      { name = "input", kind = "float", values = { 2.0 ^ -7 } }, { name = "w", kind = "array", values = { 0.5 } },
    }), ".pickle"))
    assert.is_nil(t:get("input").kind)
    assert.equal("float", t:get("input").form)
  end)
end)

describe("a table as JSON", function()
  it("keeps a slope that is NaN", function()
    local t = qtable.new { bits = 8 }
    t:set("x", "input", { -7 })
    t:set("leaky_alpha", "alpha", { 0 / 0 })
    local path = os.tmpname()
    assert(t:save(path))
    local read = assert(qtable.load(path))
    os.remove(path)
    local e = read:get "leaky_alpha".exponents or read:get "leaky_alpha".scales
    assert.is_true(e[1] ~= e[1])
  end)

  it("goes through a file unchanged, the same bytes every time", function()
    local t = sample()
    t:set("hot", "activation", { INF })
    t:set("odd", "activation", { NAN })
    t.facts.target = "esp32s3"
    local text = t:to_json()
    local u = assert(load_bytes(text))
    assert.same(contents(t), contents(u))
    assert.same(t.facts, u.facts)
    assert.equal(text, u:to_json())
    assert.equal(text, t:to_json())
    assert.matches('\n  "w": {"bits": 8, "exponents": %[%-7, %-6, %-15%], "kind": "weight"},?\n', text)
    assert.matches('\n  "b": {"bits": 16, "exponents": %[%-10, %-9, %-18%], "kind": "bias"},?\n', text)
    assert.matches('\n  "dead": {"bits": 8, "exponents": %[null%], "kind": "activation"},?\n', text)
    assert.matches('\n  "shape": {"kind": "shape"},?\n', text)
  end)

  it("says the same as the pickle", function()
    local t = sample()
    assert.equal(t:to_pickle(), assert(load_bytes(t:to_json())):to_pickle())
    local back = assert(load_bytes(assert(t:to_pickle()), ".pickle"))
    assert.equal(t:to_pickle(), assert(load_bytes(back:to_json())):to_pickle())
  end)

  it("is chosen by the file's name when writing, by content when reading", function()
    for _, name in ipairs { ".json", ".JSON", ".pickle", "" } do
      local path = temporary(name)
      assert.is_true(sample():save(path))
      local first = assert(core.read_file(path)):sub(1, 1)
      assert.equal(name:lower() == ".json" and "{" or "\x80", first)
      assert.equal(7, #assert(qtable.load(path)).entries)
      os.remove(path)
    end
  end)

  it("has sorted names where a writer gave no order", function()
    local t = assert(load_bytes [[{"format": "espquant-table", "version": 1,
      "tensors": {"b": {"exponents": [1]}, "a": {"exponents": [2]}}}]])
    assert.same({ { "a", nil, { 2 } }, { "b", nil, { 1 } } }, contents(t))
  end)

  local function document(tensors, more)
    return ('{"format":"espquant-table","version":1,"tensors":%s%s}'):format(tensors, more or "")
  end

  local REFUSED = {
    { "{", "json" },
    { '{"format": "other"}', "expected \"format\"" },
    { '{"format":"espquant-table","version":1}', "expected \"format\"" },
    { '{"format":"espquant-table","version":2,"tensors":{}}', "version 2", "unsupported" },
    { '{"format":"espquant-table","version":1,"tensors":7}', "expected" },
    { document '{"a":7}', "tensor 'a': an object expected" },
    { document '{"a":null}', "tensor 'a': an object expected" },
    { document '{"a":{}}', "tensor 'a': exponents: a list" },
    { document '{"a":{"exponents":"x"}}', "tensor 'a': exponents: a list" },
    { document '{"a":{"exponents":null}}', "tensor 'a': exponents: a list" },
    { document '{"a":{"exponents":[]}}', "tensor 'a': exponents: a list" },
    { document '{"a":{"exponents":{"1":2}}}', "tensor 'a': exponents: a list" },
    { document '{"a":{"exponents":[1.5]}}', "1.5 is not allowed" },
    { document '{"a":{"exponents":[1024]}}', "1024 is not allowed" },
    { document '{"a":{"exponents":[-9007199254740993]}}', "is not allowed" },
    { document '{"a":{"exponents":[[1]]}}', "is not allowed" },
    { document '{"a":{"exponents":[true]}}', "true is not allowed" },
    { document '{"a":{"scales":7}}', "tensor 'a': scales: a list" },
    { document '{"a":{"scales":["x"]}}', "x is not allowed" },
    { document '{"a":{"exponents":[1],"kind":"what"}}', "no kind what" },
    { document '{"a":{"exponents":[1],"kind":{}}}', "no kind" },
    { document '{"a":{"exponents":[1],"form":"object"}}', "no form object" },
    { document '{"a":{"exponents":[1],"form":"str"}}', "no form str" },
    { document '{"a":{"exponents":[1,2],"form":"float64"}}', "tensor 'a': 2 numbers in a float64, which holds one" },
    { document('{"a":{"exponents":[1]}}', ',"order":["a","a"]'), "comes twice" },
    { document('{"a":{"exponents":[1]}}', ',"order":["b"]'), "'b' is no tensor" },
    { document('{"a":{"exponents":[1]}}', ',"order":[]'), "'a' is missing" },
    { document('{"a":{"exponents":[1]}}', ',"order":[7]'), "7 is no tensor" },
    { document('{"a":{"exponents":[1]}}', ',"order":7'), "order: a list" },
    { document('{}', ',"bits":9'), "bits: 8 or 16" },
    { document('{}', ',"bits":"8"'), "bits: 8 or 16" },
    { document('{}', ',"mode":7'), "mode: a string" },
    { document('{}', ',"target":null'), "target: a string" },
  }

  for i, case in ipairs(REFUSED) do
    it(("refuses hostile text %d: %s"):format(i, case[2]), function()
      local t, message, code, problems = load_bytes(case[1])
      assert.is_nil(t)
      assert.matches(case[2], message .. table.concat(problems or {}, "\n"), 1, true)
      assert.matches("%.json: ", message)
      assert.equal(case[3] or "format", code)
    end)
  end

  it("tells all mistakes at once", function()
    local t, message, code, problems = load_bytes(document([[{"a":{"exponents":[1000000000, 1.5]}, "b":{"scales":["x"]},
      "c":{"exponents":[], "kind":"what"}, "d":5}]], ',"order":["a","a","z","b","c"],"bits":9,"mode":{}'))
    assert.same({ nil, "format" }, { t, code })
    assert.matches("json: the table has 11 mistakes$", message)
    assert.same({
      "mode: a string expected", "bits: 8 or 16 expected", "order: 'a' is no tensor, or comes twice",
      "order: 'z' is no tensor, or comes twice", "order: 'd' is missing",
      "tensor 'a': exponents: 1000000000 is not allowed, an integer from -1023 to 1023 expected",
      "tensor 'a': exponents: 1.5 is not allowed, an integer from -1023 to 1023 expected",
      "tensor 'b': scales: x is not allowed", "tensor 'c': no kind what",
      "tensor 'c': exponents: a list of numbers expected", "tensor 'd': an object expected",
    }, problems)
    local many = {}
    for i = 1, 300 do many[i] = ('"t%d":{}'):format(i) end
    t, message, code, problems = load_bytes(document("{" .. table.concat(many, ",") .. "}"))
    assert.same({ nil, "format", 101, "and 200 more" }, { t, code, #problems, problems[101] })
    assert.matches("300 mistakes", message)
  end)

  it("is no larger than can be read again", function()
    local path = temporary ".json"
    os.execute("truncate -s 300M '" .. path .. "'")
    local t, message, code = qtable.load(path)
    os.remove(path)
    assert.same({ nil, "limit" }, { t, code })
    assert.matches("314572800 bytes, the limit is 268435456", message, 1, true)
  end)

  it("refuses every truncation of its text, and of its pickle", function()
    for name, bytes in pairs { [".json"] = sample():to_json(), [".pickle"] = assert(sample():to_pickle()) } do
      for length = 0, #bytes - 2, 7 do
        local t, message, code = load_bytes(bytes:sub(1, length), name)
        assert.is_nil(t, name .. " cut at " .. length)
        assert.is_string(message)
        assert.equal("format", code)
      end
    end
  end)
end)

describe("a table's file", function()
  it("that is missing is named", function()
    local t, message, code = qtable.load "/no/such/table.pickle"
    assert.same({ nil, "io" }, { t, code })
    assert.matches("/no/such/table.pickle", message, 1, true)
  end)

  it("that cannot be written leaves nothing", function()
    for _, name in ipairs { "t.json", "t.pickle" } do
      local ok, message, code = sample():save("/no/such/folder/" .. name)
      assert.same({ nil, "io" }, { ok, code })
      assert.matches("/no/such/folder/" .. name, message, 1, true)
      assert.is_false(exists("/no/such/folder/" .. name))
    end
  end)

  it("stays as it was when the table cannot be written", function()
    local path = temporary ".pickle"
    assert(sample():save(path))
    local before, broken = assert(core.read_file(path)), sample()
    broken:set("no \xFF UTF-8", "activation", { 1 })
    local ok, message, code = broken:save(path)
    assert.same({ nil, "format" }, { ok, code })
    assert.matches(path, message, 1, true)
    assert.equal(before, assert(core.read_file(path)))
    os.remove(path)
  end)
end)
