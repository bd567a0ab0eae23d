-- Datasets of pickles, CSV and raw files: what they hold, and what is said of bad ones.

local core = require "espquant.core"
local csv = require "espquant.codec.csv"
local csv_dataset = require "espquant.dataset.csv"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local fixtures = require "spec.support.fixtures"
local mutate = require "spec.support.mutate"
local process = require "spec.support.process"

local ASAN = os.getenv "ESPQ_LANE" == "asan"

local folder
setup(function() folder = process.folder() end)
teardown(function() process.remove(folder) end)

local function put(name, bytes) return process.write_file(folder .. "/" .. name, bytes) end

local function model(...)
  local graph = core.graph { name = "m" }
  for _, input in ipairs { ... } do graph:add_input(input[1], "float32", input[2]) end
  return graph
end

local function flat(tensor) return tensor:reshape({ -1 }):totable() end

-- Shapes of all batches as text, and their numbers in one list.
local function drain(data)
  local shapes, values = {}, {}
  for batch in data:batches() do
    shapes[#shapes + 1] = table.concat(batch.shape, "x")
    for _, value in ipairs(flat(batch)) do values[#values + 1] = value end
  end
  return { table.concat(shapes, " "), values }
end

local function range(first, last, scale)
  local list = {}
  for i = first, last do list[#list + 1] = i * (scale or 1) end
  return list
end

-- Opening must fail with this code, a message that begins with the path and says these texts.
local function fails(path, options, code, ...)
  local data, message, got = dataset.open(path, options)
  assert.is_nil(data)
  assert.equal(path, message:sub(1, #path))
  for _, text in ipairs { ... } do assert.truthy(message:find(text, 1, true), message) end
  assert.equal(code, got, message)
end

describe("a dataset of a pickle", function()
  local pack

  setup(function() pack = fixtures.open("python", "pickle") end)

  local function each(kind, visit)
    local names = pack.names("^" .. kind .. ".*pickle$")
    assert.equal(11, #names)
    for i, name in ipairs(names) do visit(put(kind .. (i % 2 == 0 and ".pkl" or ".pickle"), pack.bytes(name))) end
  end

  it("is the pair (images, labels)", function()
    each("labelled", function(path)
      local data = assert(dataset.open(path, { scale = 0.5 }))
      assert.same({ 3, 1, 0, 2 }, data.labels)
      assert.equal(4, data:count())
      assert.equal("uint8", data:raw().dtype)
      local bound = assert(dataset.of(data, model { "x", { "N", 1, 2, 3 } }))
      assert.same({ 3, 1, 0, 2 }, bound.labels)
      local values = {}
      for i = 0, 23 do values[i + 1] = i % 7 * 0.5 end
      assert.same({ "4x1x2x3", values }, drain(bound))
    end)
  end)

  it("is a list of images, of batches, or of a model's inputs", function()
    each("list", function(path)
      local data = assert(dataset.open(path))
      assert.is_nil(data:count())
      assert.same({ 1, 2, 3 }, data:raw(2).shape)
      assert.same("3x1x2x3", drain(assert(dataset.of(data, model { "x", { "N", 1, 2, 3 } })))[1])
      assert.same("3x2x3", drain(assert(dataset.of(data, model { "x", { "N", 2, 3 } })))[1])
      local three = model({ "a", { "N", 2, 3 } }, { "b", { "N", 2, 3 } }, { "c", { "N", 2, 3 } })
      assert.equal(3, #assert(dataset.of(data, three)):batches()())
      assert.same("1x2x3 1x2x3 1x2x3", drain(data)[1])
      assert.error_matches(function() data:tensor() end, "several arrays")
    end)
  end)

  it("is a dict of arrays by name, of every type", function()
    each("arrays", function(path)
      local data = assert(dataset.open(path, { array = "f2 fortran" }))
      assert.same({ "2x2x3", range(0, 11) }, drain(data))
      assert.equal(28, #assert(dataset.open(path)):names())
      local all = assert(dataset.open(path))
      assert.same({ 1, 2 }, { all:raw "?":max(), all:raw "u8".shape[1] })
    end)
  end)

  it("refuses what is no array, and hostile files", function()
    fails(put("none.pkl", "N."), {}, "format", "the object is a None, expected a numpy array")
    fails(put("ints.pkl", "](K\1K\2e."), {}, "format", "entry 1 is a int")
    fails(put("dict.pkl", "}X\1\0\0\0aNs."), {}, "format", "entry 'a' is a None")
    fails(put("key.pkl", "}K\1Ns."), {}, "format", "entry '1': its name is no str")
    fails(put("os.pkl", "cos\nsystem\n(S'true'\ntR."), {}, "unsupported", "byte 0: GLOBAL", "'os system'")
    fails(put("persid.pkl", "Pmine\n."), {}, "unsupported", "byte 0: PERSID")
    fails(put("ext.pkl", "\x80\2\x82\1."), {}, "unsupported", "byte 2: EXT1")
    fails(put("long.pkl", "\x8B\0\0\0\x80x."), {}, "limit", "byte 0: LONG4")
    fails(put("self.pkl", "]q\0h\0a."), {}, "format", "contains itself")
    fails(put("cut.pkl", pack.bytes "labelled.py3.11_np2.4.6.p5.pickle":sub(1, -2)), {}, "format", "byte 2: FRAME")
    fails(put("empty.pkl", ""), {}, "format", "ends after 0 bytes")
  end)

  it("damaged never raises", function()
    local refused, bytes = 0, pack.bytes "labelled.py3.11_np2.4.6.p5.pickle"
    for number = 1, 300 do
      local rng = mutate.rng(number)
      local damaged = number % 3 == 0 and bytes:sub(1, rng(#bytes) - 1) or mutate.bytes(rng, bytes)
      local data, message, code = dataset.open(put("damaged.pickle", damaged))
      refused = refused + (data and 0 or 1)
      if not data then assert.truthy(message:match "damaged.pickle: ." and errors.exit_code(code) ~= 70, message) end
    end
    assert.is_true(refused > 150, refused)
  end)
end)

describe("a dataset of CSV", function()
  it("has rows of numbers, with or without header", function()
    local want = { "2x3", { 1, 2.5, -3, 4, 5, 600 } }
    for i, text in ipairs {
      "1,2.5,-3\n4,5,6e2\n", "a,b,c\n1,2.5,-3\n4,5,6e2", "\xEF\xBB\xBF1, 2.5 ,-3\r\n\r\n+4,5.,6.0E+2\r\n",
      '"x","y ""z""","q,r"\n"1",2.5,"-3"\n4, "5" ,600\n',
    } do
      local data = assert(dataset.open(put("n.csv", text)))
      assert.same(want, drain(data), "text " .. i)
      assert.equal(2, data:count())
      assert.is_nil(data.labels)
    end
    local others = {
      [";"] = "1;2.5;-3\n4;5;600", [" "] = "1 2.5  -3 \n 4\t5 600", ["|"] = "1|2.5|-3\n4|5|600",
    }
    for separator, text in pairs(others) do
      assert.same(want, drain(assert(dataset.open(put("n.csv", text), { separator = separator }))))
    end
    assert.same(want, drain(assert(dataset.open(put("n.tsv", "1\t2.5\t-3\n4\t5\t600")))))
    assert.same({ "1x2", { 3, 4 } }, drain(assert(dataset.open(put("h.csv", "1,2\n3,4\n"), { header = true }))))
  end)

  it("has a column of labels, by name or number, and a shape", function()
    local text = "a,b,class,c,d\n1,2,7,3,4\n5,6,9,7,8\n"
    for _, label in ipairs { "class", 3, -3, "3" } do
      local data = assert(dataset.open(put("l.csv", text), { labels = label, shape = { 1, 2, 2 }, scale = 2 }))
      assert.same({ 7, 9 }, data.labels)
      local bound = assert(dataset.of(data, model { "x", { "N", 1, 2, 2 } }))
      assert.same({ { 7, 9 }, { "2x1x2x2", range(1, 8, 2) } }, { bound.labels, drain(bound) })
    end
  end)

  it("is read anew in every pass when it is large", function()
    local kept, lines = csv_dataset.MOST_KEPT, {}
    for i = 1, 150 do lines[i] = ("%d,%d,%d"):format(i % 10, 2 * i - 1, 2 * i) end
    local path = put("big.csv", table.concat(lines, "\n"))
    csv_dataset.MOST_KEPT = 100
    local data = assert(dataset.open(path, { labels = 1 }))
    csv_dataset.MOST_KEPT = kept
    assert.is_true(data:is_stream())
    assert.equal(150, #data.labels)
    local bound = assert(dataset.of(data, model { "x", { "N", 2 } }))
    for _ = 1, 2 do assert.same({ "64x2 64x2 22x2", range(1, 300) }, drain(bound)) end
    assert.same(range(1, 300), flat(data:tensor()))
    assert.matches("big.csv: float32 150x2$", tostring(data))
    local _, message = dataset.of(data, model { "x", { "N", 3 } })
    assert.matches("input 'x' expects float32 Nx3, got float32 1x2", message)
    put("big.csv", "1,2,x\n")
    assert.error_matches(function() drain(bound) end, "big.csv: line 1, column 3: 'x' is no number")
  end)

  it("tells all that is wrong, with lines and columns", function()
    fails(put("ragged.csv", "1,2,3\n4,5\n6,7,8,9\n1,2,3\n,\n"), {}, "format", "line 2: 2 fields, expected 3",
      "line 3: 4 fields, expected 3", "line 5: 2 fields")
    fails(put("word.csv", "1,2\n3,four\nnan,0x10\n5,\n1.2.3,1e\n"), {}, "format",
      "line 2, column 2: 'four' is no number",
      "line 3, column 1: 'nan'", "line 3, column 2: '0x10'", "line 4, column 2: ''", "line 5, column 1: '1.2.3'",
      "line 5, column 2: '1e'")
    fails(put("comma.csv", "1,5;2,5\n"), { separator = ";" }, "format", "no row")
    fails(put("comma.csv", "1;2\n1,5;2,5\n"), { separator = ";" }, "format", "line 2, column 1: '1,5' is no number")
    fails(put("many.csv", "1\n" .. ("x\n"):rep(50)), {}, "format", "line 11, column 1", "... 40 more")
    fails(put("quote.csv", '1,2\n3,"4\n"5"x,6\n'), {}, "format", "line 2, column 2: its quote does not end",
      "line 3, column 1: text after its quote")
    fails(put("empty.csv", ""), {}, "format", "no row")
    fails(put("header.csv", "a,b\n"), {}, "format", "no row")
    fails(put("nul.csv", "1,2\n\0,3\n"), {}, "format", "line 2, column 1: '\\x00' is no number")
    fails(put("label.csv", "a,b\n1,2.5\n"), { labels = "b" }, "format", "line 2, column 2: '2.5' is no label")
    fails(put("label.csv", "a,b\n1,2\n"), { labels = "c" }, "format", "no column 'c'; the header has 'a, b'")
    fails(put("label.csv", "1,2\n"), { labels = 3 }, "format", "no column '3'", "1 to 2")
    fails(put("label.csv", "1\n"), { labels = 1 }, "format", "no column but the label's")
    fails(put("shape.csv", "1,2,3\n"), { shape = { 2, 2 } }, "format", "3 numbers in a row, the shape 2x2 has 4")
    fails(put("dtype.csv", "1,2,3\n"), { dtype = "uint8" }, "format", "option 'dtype' is for other files")
    assert.error_matches(function() dataset.open(put("s.csv", "1"), { separator = "ab" }) end,
      "separator: one character")
    assert.error_matches(function() dataset.open(put("s.csv", "1"), { separator = 1 }) end,
      "separator: a string expected")
  end)

  it("refuses a line of a gigabyte after the first 16 MB", function()
    local path = folder .. "/gigabyte.csv"
    os.execute(("truncate -s 1G '%s'"):format(path)) -- zeros: no byte of it is on the disk
    local before = core.peak_rss()
    fails(path, {}, "limit", ("line 1: more than %d bytes"):format(csv.MAX_LINE))
    assert.is_true(ASAN or core.peak_rss() - before < 256 << 20)
    os.remove(path)
  end)
end)

describe("a dataset of raw numbers", function()
  it("has the type and shape that are told", function()
    local bytes = {}
    for i = 1, 150 * 4 do bytes[i] = string.pack("<i2", i - 300) end
    local path = put("images.bin", table.concat(bytes))
    local data = assert(dataset.open(path, { dtype = "int16", shape = { 1, 2, 2 }, scale = 0.25 }))
    assert.equal(150, data:count())
    assert.is_true(data:is_stream())
    local bound = assert(dataset.of(data, model { "x", { "N", 1, 2, 2 } }))
    for _ = 1, 2 do assert.same({ "64x1x2x2 64x1x2x2 22x1x2x2", range(-299, 300, 0.25) }, drain(bound)) end
    assert.same(range(-299, 300), flat(data:raw()))
    assert.equal("float32", data:tensor().dtype)
    assert.matches("images.bin: int16 150x1x2x2$", tostring(data))
  end)

  it("may lie in a folder, its sub-folders being classes", function()
    local process_folder, options = folder .. "/raws", { dtype = "uint8", shape = { 2 } }
    os.execute(("mkdir -p '%s/dog' '%s/cat'"):format(process_folder, process_folder))
    put("raws/dog/2.raw", "\5\6")
    put("raws/dog/10.BIN", "\1\2\3\4")
    put("raws/dog/none.bin", "")
    put("raws/cat/1.bin", "\7\10")
    put("raws/cat/notes.txt", "text")
    local data = assert(dataset.open(process_folder, options))
    assert.same({ { 0, 1, 1, 1 }, { "cat", "dog" } }, { data.labels, data.classes })
    assert.matches("left out, being no .bin or .raw: cat/notes.txt", data.notes[1], 1, true)
    local bound = assert(dataset.of(data, model { "x", { "N", 2 } }))
    for _ = 1, 2 do assert.same({ "4x2", { 7, 10, 1, 2, 3, 4, 5, 6 } }, drain(bound)) end
    assert.same({ 4, { "cat", "dog" } }, { #bound.labels, bound.classes })
    put("raws/dog/2.raw", "\5")
    put("raws/cat/1.bin", "\5\6\7")
    fails(process_folder, options, "format", "cat/1.bin: 3 bytes are no multiple", "dog/2.raw: 1 bytes are no multiple")
    fails(process_folder .. "/nothing", options, "io", "No such file")
    os.execute(("mkdir -p '%s/bird'"):format(process_folder))
    fails(process_folder, options, "format", "no raw file in 1 of 3 classes (bird)")
    fails(process_folder .. "/bird", options, "format", "no .bin or .raw in this folder")
    assert.matches("no .png, .jpg or .jpeg", select(2, dataset.open(process_folder .. "/bird")), 1, true)
  end)

  it("may be larger than memory #unit", function()
    local path = folder .. "/large.raw"
    os.execute(("truncate -s 40G '%s'"):format(path))
    local data, before = assert(dataset.open(path, { dtype = "uint8", shape = { 1024, 1024 } })), core.peak_rss()
    assert.equal(40 << 10, data:count())
    assert.same({ 64, 1024, 1024 }, data:batches()().shape)
    assert.is_true(core.peak_rss() - before < 1 << 30)
    os.remove(path)
  end)

  it("refuses what does not fit", function()
    local path = put("odd.raw", ("x"):rep(1000))
    fails(path, { dtype = "uint8", shape = { 28, 28 } }, "format",
      "1000 bytes are no multiple of the 784 of an image (uint8 28x28): 216 are left over")
    fails(path, {}, "format", "give dtype and shape")
    fails(path, { shape = { 10 } }, "format", "give dtype and shape")
    fails(path, { dtype = "uint8" }, "format", "give dtype and shape")
    fails(path, { dtype = "float32", shape = { 1 << 40, 1 << 40 } }, "limit", "overflows")
    fails(path, { dtype = "uint8", shape = { 1000 }, separator = ";" }, "format",
      "option 'separator' is for other files")
    fails(folder .. "/missing.raw", { dtype = "uint8", shape = { 1 } }, "io", "No such file")
    assert.error_matches(function() dataset.open(path, { dtype = "complex64", shape = { 1 } }) end,
      "no dtype 'complex64'")
    assert.error_matches(function() dataset.open(path, { dtype = "uint8", shape = { 0 } }) end, "shape: 0 is no size")
    local data, message = dataset.of(assert(dataset.open(put("none.raw", ""), { dtype = "uint8", shape = { 4 } })),
      model { "x", { "N", 4 } })
    assert.is_nil(data)
    assert.matches("none.raw: it holds no image", message)
  end)
end)
