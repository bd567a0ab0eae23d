-- The commands on data of other formats: pickles, CSV and raw files of the same digits give the same figures.
local cjson = require "cjson"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local process = require "spec.support.process"

local folder
local DIGITS = process.root .. "/examples/data/mnist/"
local N = 60
local images, labels

local function espquant(...)
  return process.run({ process.espquant, ... }, { cwd = folder })
end

local function put(name, bytes) return process.write_file(folder .. "/" .. name, bytes) end

local function csv_text()
  local lines, rows = {}, images:reshape({ N, 784 }):totable()
  for i, row in ipairs(rows) do
    for k, x in ipairs(row) do row[k] = ("%d"):format(x) end
    lines[#lines + 1] = ("%d;%s"):format(labels[i], table.concat(row, ";"))
  end
  return table.concat(lines, "\n")
end

-- The pair (images, labels), as numpy 2 pickles it in protocol 4.
local function pickled()
  local function text(s) return "\x8C" .. string.pack("s1", s) end
  local function dtype(code) return text "numpy" .. text "dtype" .. "\x93" .. text(code) .. "\x89\x88\x87R(K\3"
    .. text "<" .. "NNNJ\xFF\xFF\xFF\xFFJ\xFF\xFF\xFF\xFFK\0tb" end
  local function array(shape, code, data)
    return text "numpy._core.multiarray" .. text "_reconstruct" .. "\x93" .. text "numpy" .. text "ndarray"
      .. "\x93K\0\x85C\1b\x87R"
      .. "(K\1" .. shape .. dtype(code) .. "\x89B" .. string.pack("<s4", data) .. "tb"
  end
  local list = core.tensor_from(labels, "uint8")
  return "\x80\4" .. array("(K\x3CK\1K\x1CK\x1Ct", "u1", images:tobytes())
    .. array("K\x3C\x85", "u1", list:tobytes()) .. "\x86."
end

describe("data of other formats", function()
  setup(function()
    folder = process.folder()
    images = assert(dataset.open(DIGITS .. "test-images-idx3-ubyte.gz")):raw():slice(1, N)
    labels = assert(dataset.open(DIGITS .. "test-labels-idx1-ubyte.gz")):raw():slice(1, N):totable()
    put("d.pickle", pickled())
    put("d.csv", csv_text())
    put("d.raw", images:tobytes())
    put("l.csv", table.concat(labels, "\n"))
    assert.equal(0, espquant("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx").status)
  end)
  teardown(function() process.remove(folder) end)

  local FORMS = {
    { "d.pickle" }, { "d.csv", "--data-separator", ";", "--data-labels", "1", "--data-shape", "1x28x28" },
    { "d.raw", "--data-dtype", "uint8", "--data-shape", "1x28x28", "-l", "l.csv" },
  }

  it("calibrates and evaluates alike", function()
    local table_of, figures
    for _, form in ipairs(FORMS) do
      local words = { "-d", table.unpack(form) }
      if form[1] == "d.raw" then words = { "-d", table.unpack(form, 1, 5) } end
      local r = espquant("calibrate", "m.onnx", "-o", "t.json", "--scale", "1/256", table.unpack(words))
      assert.same({ 0, "" }, { r.status, r.stderr })
      local bytes = core.read_file(folder .. "/t.json")
      table_of = table_of or bytes
      assert.equal(table_of, bytes)
      r = espquant("evaluate", "m.onnx", "-t", "t.json", "--scale", "1/256", "--min-accuracy", "90", "--json", "-d",
        table.unpack(form))
      assert.same({ 0, "" }, { r.status, r.stderr })
      local facts = cjson.decode(r.stdout)
      figures = figures or facts.accuracy
      assert.same({ N, figures }, { facts.images, facts.accuracy })
    end
    assert.is_true(figures > 0.9)
  end)

  it("is told by info", function()
    local function info(...)
      local r = espquant("info", ...)
      assert.same({ 0, "" }, { r.status, r.stderr })
      return r.stdout
    end
    assert.equal("uint8 60x1x28x28, 0 to 255\n60 labels, 0 to 9\n", info "d.pickle")
    assert.equal("float32 60x1x28x28, 0 to 255\n60 labels, 0 to 9\n", info(table.unpack(FORMS[2])))
    assert.equal("uint8 60x28x28, 0 to 255\n", info("d.raw", "--data-dtype", "uint8", "--data-shape", "28X28"))
    assert.same({ count = 60, min = 0, max = 9 }, cjson.decode(info("d.pickle", "--json")).labels)
  end)

  it("is refused in a sentence, and nothing is written", function()
    local function fails(status, part, ...)
      local r = espquant("calibrate", "m.onnx", "-o", "no.json", "-d", ...)
      assert.equal(status, r.status, r.stderr)
      assert.truthy(r.stderr:find(part, 1, true) and not r.stderr:find "traceback", r.stderr)
      assert.is_nil(io.open(folder .. "/no.json"))
    end
    put("bad.csv", "1,2\n3\n4,x\n")
    put("os.pickle", "cos\nsystem\n(S'true'\ntR.")
    fails(3, "line 2: 1 fields, expected 2 as in the first line\n  line 3, column 2: 'x' is no number", "bad.csv")
    fails(3, "give dtype and shape", "d.raw")
    fails(3, "are no multiple of the 100 of an image", "d.raw", "--data-dtype", "uint8", "--data-shape", "10x10")
    fails(4, "os.pickle: pickle: byte 0: GLOBAL: the name 'os system' is not allowed", "os.pickle")
    fails(3, "option 'dtype' is for other files than .csv", "d.csv", "--data-dtype", "uint8")
    fails(2, "'28by28' is no shape such as 1x28x28", "d.raw", "--data-shape", "28by28")
    fails(2, "no dtype 'u8'; one of", "d.raw", "--data-dtype", "u8")
    fails(2, "one character such as ';'", "d.csv", "--data-separator", ";;")
    local r = espquant("evaluate", "m.onnx", "-t", "t.json", "-d", "d.raw", "--data-dtype", "uint8", "--data-shape",
      "28x28", "--min-accuracy", "9")
    assert.equal(2, r.status)
    assert.matches("--min-accuracy needs --labels, or data that has labels", r.stderr, 1, true)
  end)
end)

describe("a quantization table", function()
  local fixtures = require "spec.support.fixtures"

  setup(function()
    folder = process.folder()
    put("t.pickle", fixtures.open "leaky_net_112".bytes "int8-per-channel-minmax/table.pickle")
  end)
  teardown(function() process.remove(folder) end)

  local function output(...)
    local r = espquant(...)
    assert.same({ 0, "" }, { r.status, r.stderr })
    return r.stdout
  end

  it("goes from .pickle to .json and back, and tells the same as info", function()
    assert.equal("t.json: 25 entries\n", output("table", "t.pickle", "-o", "t.json"))
    assert.equal(core.read_file(folder .. "/t.json"), output("info", "t.pickle", "--json"))
    assert.equal(output("info", "t.pickle"), output("info", "t.json"))
    assert.matches("\n  input +2%^%-7\n.*\ninput: integer = round%(x %* 2%^7%), [^\n]+\n$", output("info", "t.json"))
    output("table", "t.json", "-o", "back.pickle")
    assert.equal(output("info", "t.pickle", "--json"), output("info", "back.pickle", "--json"))
  end)

  it("is told what a pickle does not say", function()
    output("table", "t.pickle", "-o", "full.json", "--bits", "int8", "--granularity", "per-channel",
      "--method", "minmax")
    assert.matches("^quantization table: v1 int8 per%-channel minmax, 25 entries\n", output("info", "full.json"))
    assert.matches("clipped to %[%-128, 127%]", output("info", "full.json"))
    local r = espquant("table", "full.json", "-o", "other.json", "--bits", "int16")
    assert.same({ 3, "espquant: full.json: its bits is 8, not 16\n" }, { r.status, r.stderr })
    for _, words in ipairs { { "t.pickle" }, { "t.npy" }, { "./t.pickle" } } do
      assert.equal(2, espquant("table", "t.pickle", "-o", words[1]).status)
    end
    assert.is_nil(io.open(folder .. "/other.json"))
  end)
end)
