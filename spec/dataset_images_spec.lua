--- Folders of pictures, lists of them and single ones as data of a model, and what the commands make of them.

local cjson = require "cjson"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local lfs = require "lfs"
local process = require "spec.support.process"
local refusal = require "spec.support.refusal"
local support = require "spec.support.codec"

local folder
local function at(name) return folder .. "/" .. name end

local function make(...)
  for _, name in ipairs { ... } do assert(lfs.mkdir(at(name))) end
end

local function put(name, bytes)
  return process.write_file(at(name), bytes or support.fixture "images/rgb.png")
end

-- A gray PNG of one value, without compression: pictures whose order can be told.
local function flat(value, height, width)
  local rows = ("\0" .. string.char(value):rep(width or 2)):rep(height or 2)
  local a, b = 1, 0
  for i = 1, #rows do
    a = (a + rows:byte(i)) % 65521
    b = (b + a) % 65521
  end
  local stored = ("<BI2I2"):pack(1, #rows, ~#rows & 0xffff)
  local function chunk(kind, data)
    return (">I4"):pack(#data) .. kind .. data .. (">I4"):pack(core.crc32(kind .. data))
  end
  return "\x89PNG\r\n\x1a\n" .. chunk("IHDR", (">I4I4BBBBB"):pack(width or 2, height or 2, 8, 0, 0, 0, 0))
    .. chunk("IDAT", "\x78\1" .. stored .. rows .. (">I2I2"):pack(b, a)) .. chunk("IEND", "")
end

-- A model with one input of this shape.
local function model(shape)
  local graph = core.graph { name = "m" }
  graph:add_input("x", "float32", shape)
  return graph
end

local function first(source, shape)
  local batch = errors.check(dataset.of(source, model(shape))):batches()()
  return batch
end

before_each(function() folder = process.folder() end)
after_each(function() process.remove(folder) end)

describe("a folder of pictures", function()
  it("is read in the order of the names' bytes", function()
    local names = { "10.png", "9.PNG", "B.png", "a.jpeg", "\xc3\xa4.png", "z.png" }
    for _, i in ipairs { 6, 3, 1, 5, 2, 4 } do put(names[i], flat(i)) end
    put(".hidden.png", "no picture")
    local d = assert(dataset.open(folder))
    local files = {}
    for i, path in ipairs(d.files) do files[i] = path:sub(#folder + 2) end
    assert.same({ "10.png", "9.PNG", "B.png", "a.jpeg", "z.png", "\xc3\xa4.png" }, files)
    assert.same({ 6, 6, {} }, { d:count(), #first(d, { "N", 1, 2, 2 }), d.notes })
    assert.is_nil(d.classes)
    assert.matches("^dataset /.*: 6 images$", tostring(d))
  end)

  it("has its sub-folders as classes", function()
    make("dog", "cat", "10", ".git")
    for i, name in ipairs { "dog/a.png", "cat/b.png", "cat/a.png", "10/x.png" } do put(name, flat(i)) end
    local d = assert(dataset.open(folder))
    assert.same({ { "10", "cat", "dog" }, { 0, 1, 1, 2 } }, { d.classes, d.labels })
    assert.same({ 4, 3, 2, 1 }, d:fit(model { "N", 1, 2, 2 }.inputs[1]):tensor():slice(1):reshape { 4, 4 }
      :transpose { 1, 0 }[1]:totable())
    local bound = assert(dataset.of(d, model { "N", 1, 2, 2 }))
    assert.same({ 4, d.classes, d.labels }, { bound:count(), bound.classes, bound.labels })
  end)

  it("says what it leaves out", function()
    make("sub", "a", "a/deeper")
    put "a/1.png"
    put("a/notes.txt", "")
    refusal.check("format", { folder, "no picture in 1 of 2 classes (sub)" }, dataset.open, folder)
    put "sub/2.jpg"
    for i = 1, 6 do put(i .. ".bmp", "") end
    assert.same({ folder .. ": left out, being no .png, .jpg or .jpeg: 1.bmp, 2.bmp, 3.bmp, 4.bmp, 5.bmp and 3 more" },
      assert(dataset.open(folder)).notes)
  end)

  it("holds pictures or folders of pictures", function()
    refusal.check("format", { folder, "no .png, .jpg or .jpeg" }, dataset.open, folder)
    put("labels.csv", "")
    refusal.check("format", { "it holds labels.csv" }, dataset.open, folder)
    make "a"
    put "1.png"
    assert.equal(1, assert(dataset.open(folder)):count())
    put "a/2.png"
    refusal.check("format", { "pictures (1.png) beside folders of pictures" }, dataset.open, folder)
  end)

  it("may hold links, also back to itself, pipes and dead links", function()
    make("a", "real")
    put("real/1.png", flat(7))
    assert(lfs.link(at "real/1.png", at "a/link.png", true))
    assert(lfs.link("..", at "a/loop", true))
    assert(lfs.link(".", at "a/self.png", true))
    local d = assert(dataset.open(folder))
    assert.same({ { "a", "real" }, { 0, 1 } }, { d.classes, d.labels })
    assert.same({ folder .. ": left out, being no .png, .jpg or .jpeg: a/loop, a/self.png" }, d.notes)
    assert.equal(7, first(d, { "N", 1, 2, 2 }):min())
    assert(os.execute("mkfifo " .. at "a/pipe.png"))
    assert(lfs.link("nowhere", at "real/dead.png", true))
    refusal.check("io", { "2 of 4 images cannot be used", "a/pipe.png: is a pipe", "real/dead.png: cannot open" },
      first, folder, { "N", 1, 2, 2 })
  end)

  it("names every file that cannot be read, not the first one", function()
    for i = 1, 130 do put(("%03d.png"):format(i), i % 5 == 0 and "no picture" or flat(i)) end
    local ok, e = pcall(first, folder, { "N", 1, 2, 2 })
    assert.is_false(ok)
    assert.same({ "format", 21 }, { e.code, #e.problems })
    assert.matches("26 of 130 images cannot be used; repair or remove them", e.message, 1, true)
    assert.matches("005.png: neither PNG nor JPEG", e.problems[1], 1, true)
    assert.equal("and 6 more", e.problems[21])
  end)

  it("is read in batches of 64, in every pass anew", function()
    for i = 1, 150 do put(("%03d.png"):format(i), flat(i)) end
    local data = assert(dataset.of(folder, model { "N", 1, 2, 2 }))
    for _ = 1, 2 do
      local sizes, value = {}, 0
      for batch in data:batches() do
        sizes[#sizes + 1] = #batch
        for i = 1, #batch do
          value = value + 1
          assert.equal(value, batch[i]:max())
        end
      end
      assert.same({ 64, 64, 22 }, sizes)
    end
  end)
end)

describe("pictures for a model", function()
  local RGB = "spec/fixtures/images/rgb.png"

  it("get its size, channels and layout", function()
    for _, case in ipairs {
      { { "N", 3, 13, 17 } }, { { "N", 1, 13, 17 } }, { { "N", 13, 17, 3 } }, { { "N", 13, 17, 1 } },
      { { 1, 3, 5, 4 } }, { { "N", 13, 17 } }, { { "N", 3, "H", "W" }, nil, { 1, 3, 13, 17 } }, { { "N", 663 } },
      { { "N", 35 }, { size = { 5, 7 }, order = "gray" } }, { { "N", 3, "H", "W" }, { size = 9 }, { 1, 3, 9, 9 } },
      { { "N", 3, "H", "W" }, { crop = 8 }, { 1, 3, 8, 8 } }, { { "N", 3, 5, 4 }, { crop = 6 } },
      { { "N", 3, 4, 3 }, { layout = "nhwc" } },
    } do
      local expected = case[3] or { 1, table.unpack(case[1], 2) }
      assert.same(expected, first(assert(dataset.open(RGB, case[2])), case[1]).shape)
    end
    assert.same({ 1, 3, 13, 17 }, dataset.open(RGB):tensor().shape)
    assert.same({ 3, 3, 5, 5 }, dataset.open({ RGB, RGB, RGB }, { size = 5 }):tensor().shape)
  end)

  it("become (v * scale - mean) / std, rounded once", function()
    put("p.png", flat(200))
    local mean, std = { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }
    local t = first(assert(dataset.open(at "p.png", { scale = 1 / 255, mean = mean, std = std })), { "N", 3, 2, 2 })
    for c = 1, 3 do
      local exact = (200 * (1 / 255) - mean[c]) / std[c]
      assert.equal(("<f"):unpack(("<f"):pack(exact)), t[1][c]:min())
      assert.equal(t[1][c]:min(), t[1][c]:max())
    end
    t = first(assert(dataset.open(at "p.png", { mean = 104, std = 2 })), { "N", 1, 2, 2 })
    assert.same({ 48, 48 }, { t:min(), t:max() })
  end)

  it("come in the order of the channels", function()
    local rgb = first(assert(dataset.open(RGB)), { "N", 3, 13, 17 })
    local bgr = first(assert(dataset.open(RGB, { order = "bgr", mean = { 1, 0, 0 } })), { "N", 3, 13, 17 })
    assert.is_true((bgr[1][1]:equal(rgb[1][3] - 1)))
    assert.is_true((bgr[1][2]:equal(rgb[1][2])))
  end)

  it("are known by their first bytes, too", function()
    put("picture", flat(9))
    assert.equal(9, first(at "picture", { "N", 1, 2, 2 }):max())
    assert(os.execute("mkfifo " .. at "pipe"))
    refusal.check("io", { "is a pipe" }, dataset.open, at "pipe")
  end)

  it("that do not fit are refused", function()
    local function check(texts, options, shape)
      refusal.check("format", texts, first, dataset.open(RGB, options), shape)
    end
    check({ "input 'x' has 4 channels, pictures have 1 or 3" }, nil, { "N", 4, 13, 17 })
    check({ "input 'x' expects float32 Nx3x13x17, got float32 1x1x13x17" }, { order = "gray" }, { "N", 3, 13, 17 })
    check({ "expects float32 Nx3x13x17, got float32 1x3x5x5" }, { size = 5 }, { "N", 3, 13, 17 })
    check({ "expects float32 Nx10, got float32 1x3x13x17" }, nil, { "N", 10 })
    check({ "mean: 3 numbers for 1 channels" }, { mean = { 1, 2, 3 } }, { "N", 1, 13, 17 })
    check({ "rgb.png: scaled to 4x5" }, { crop = 4 }, { "N", 1, 5, 5 })
    put("a.png", flat(1, 2, 2))
    put("b.png", flat(1, 2, 3))
    refusal.check("format", { "b.png: an image of 2x3", "2x2 expected; give a size" }, first, folder,
      { "N", 1, "H", "W" })
  end)

  it("are refused by misuse", function()
    for option, value in pairs { size = 0, crop = 1.5, order = "bgra", layout = "chw", scale = "1", mean = {},
      std = { "1" }, threads = -1, shape = { 1 }, array = "a", colour = 1 } do
      assert.has_error(function() dataset.open(RGB, { [option] = value }) end)
    end
    assert.has_error(function() dataset.open("x.npy", { mean = 1 }) end,
      "dataset: only PNG and JPEG files have the option 'mean'")
    assert.has_error(function() dataset.open { 1 } end)
    assert.has_error(function() dataset.open { RGB, 1 } end, "dataset: a list of paths expected")
    refusal.check("io", { "nowhere.png" }, first, "nowhere.png", { "N", 1, 2, 2 })
    assert.is_true(errors.is(select(2, pcall(first, dataset.open { "nowhere.png", RGB }, { "N", 1, 2, 2 }))))
  end)
end)

describe("the commands on a folder of pictures", function()
  local function espquant(...)
    return process.run({ process.espquant, ... }, { cwd = folder })
  end

  -- Class 0: dark pictures, class 1: bright ones; the model's second output is the mean less 1/2.
  local function write_all()
    local g = core.graph { name = "m", opset = 13 }
    local x = g:add_input("x", "float32", { "N", 1, 4, 4 })
    local function node(op, inputs) return g:add_node { op_type = op, inputs = inputs, outputs = { op } }:output(1) end
    local w = core.tensor_from({ 0, 1 / 16 }, "float32", { 2, 1 }):reshape { 2, 1 }
    local ones = core.tensor { 2, 16 }
    for i = 1, 16 do
      ones[1][i] = 0
      ones[2][i] = w[2]:item()
    end
    local flattened = node("Flatten", { x })
    local gemm = g:add_node { op_type = "Gemm", name = "fc", outputs = { "y" }, attrs = { transB = 1 }, inputs = {
      flattened, g:add_constant("w", ones), g:add_constant("b", core.tensor_from({ 0, -0.5 }, "float32")) } }
    g:add_output(gemm:output(1))
    assert(core.onnx_write(g, at "m.onnx"))
    make("data", "data/bright", "data/adark")
    for i = 1, 5 do
      put(("data/adark/%d.png"):format(i), flat(10 * i, 6, 6))
      put(("data/bright/%d.png"):format(i), flat(200 + 10 * i, 4, 9))
    end
    put("data/bright/0.png", flat(0, 4, 4)) -- a wrong one
    put("data/list.txt", "")
  end

  it("calibrate, evaluate by class, and run", function()
    write_all()
    local scale = { "-d", "data", "--scale", "1/256" }
    local r = espquant("calibrate", "m.onnx", "-o", "t.json", table.unpack(scale))
    local left_out = "data: left out, being no .png, .jpg or .jpeg: list.txt\n"
    assert.same({ 0, "espquant: note: " .. left_out }, { r.status, r.stderr })
    assert.matches("from 11 images\n$", r.stdout)
    r = espquant("evaluate", "m.onnx", "-t", "t.json", table.unpack(scale))
    assert.equal(0, r.status, r.stderr)
    assert.matches("class +images +float +integer\nadark +5 +100.00 %% +100.00 %%\nbright +6 +83.33 %% +83.33 %%\n$",
      r.stdout)
    r = espquant("evaluate", "m.onnx", "-t", "t.json", "--json", "--min-accuracy", "95", table.unpack(scale))
    local facts = cjson.decode(r.stdout)
    assert.same({ 1, 11, { { name = "adark", images = 5, float_right = 5, right = 5 },
      { name = "bright", images = 6, float_right = 5, right = 5 } } }, { r.status, facts.images, facts.classes })
    assert.equal("dataset data: 11 images in 2 classes: adark, bright\n" .. left_out, espquant("info", "data").stdout)
    facts = cjson.decode(espquant("info", "data/adark", "--json").stdout)
    assert.same({ kind = "images", images = 5, notes = {} }, facts)
    r = espquant("run", "m.onnx", "-d", "data/adark", "--image-size", "4x4", "--crop", "5", "--mean", "0.5",
      "--std", "1/2", "--channel-order", "gray", "--layout", "nchw", "--scale", "1/255")
    assert.same({ 0, "" }, { r.status, r.stderr })
    assert.matches("^y: float32 5x2\n", r.stdout)
  end)

  it("say what is wrong", function()
    write_all()
    local function fails(status, text, ...)
      local r = espquant("run", "m.onnx", ...)
      assert.equal(status, r.status, r.stderr)
      assert.matches(text, r.stderr, 1, true)
      assert.is_nil(r.stderr:find("traceback", 1, true), r.stderr)
    end
    fails(2, "'4x' is no size", "-d", "data", "--image-size", "4x")
    fails(2, "'0' is no number of pixels", "-d", "data", "--crop", "0")
    fails(2, "'a' is no factor", "-d", "data", "--mean", "1,a")
    fails(3, "data: --data-shape is for files of arrays", "-d", "data", "--data-shape", "1x4x4")
    fails(3, "mean: 3 numbers for 1 channels", "-d", "data", "--mean", "1,2,3")
    put("x.npy", "")
    fails(3, "x.npy: --mean is for PNG and JPEG files", "-d", "x.npy", "--mean", "1")
    put("data/adark/9.jpg", "text")
    fails(3, "data/adark/9.jpg: neither PNG nor JPEG", "-d", "data")
  end)
end)
