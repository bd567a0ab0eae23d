local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local npy = require "espquant.codec.npy"
local npz = require "espquant.codec.npz_writer"
local process = require "spec.support.process"
local support = require "spec.support.codec"

-- A model with the named inputs: { {name, shape}, ... }.
local function model(...)
  local graph = core.graph { name = "m" }
  for _, input in ipairs { ... } do graph:add_input(input[1], input.dtype or "float32", input[2]) end
  return graph
end

local IMAGES = { "x", { "N", 1, 3, 4 } }

-- 1, 2, 3 ... in a tensor.
local function numbers(shape, dtype, first)
  local list, n = {}, 1
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do list[i] = (first or 1) + i - 1 end
  return core.tensor_from(list, dtype or "float32", shape)
end

-- All batches: their shapes as text, and their numbers in one list.
local function drain(data)
  local shapes, values = {}, {}
  for batch in data:batches() do
    assert.equal("float32", batch.dtype)
    shapes[#shapes + 1] = table.concat(batch.shape, "x")
    for _, value in ipairs(batch:reshape({ -1 }):totable()) do values[#values + 1] = value end
  end
  return shapes, values
end

local function range(n, scale, first)
  local list = {}
  for i = 1, n do list[i] = ((first or 1) + i - 1) * (scale or 1) end
  return list
end

-- The error object that a pass over the data raises.
local function pass_error(data)
  local ok, err = pcall(drain, data)
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  return err
end

local function refuses(source, m, ...)
  local data, message, code = dataset.of(source, m)
  assert.is_nil(data)
  for _, part in ipairs { ... } do assert.truthy(message:find(part, 1, true), message) end
  assert.equal("format", code)
end

describe("a dataset of tensors", function()
  it("yields at most 64 images at a time, as views, in every pass", function()
    local images = numbers { 150, 1, 3, 4 }
    local data = assert(dataset.of(images, model(IMAGES)))
    assert.equal(150, data:count())
    for _ = 1, 2 do
      local shapes, values = drain(data)
      assert.same({ "64x1x3x4", "64x1x3x4", "22x1x3x4" }, shapes)
      assert.same(range(1800), values)
    end
    local first = data:batches()()
    first:fill(7)
    assert.equal(7, images[1]:max(), "a float32 tensor is not copied")
  end)

  it("takes one image, and puts a missing channel axis in", function()
    for _, shape in ipairs { { 1, 1, 3, 4 }, { 1, 3, 4 }, { 3, 4 } } do
      local data = assert(dataset.of(numbers(shape), model(IMAGES)))
      assert.equal(1, data:count())
      assert.same({ { "1x1x3x4" }, range(12) }, { drain(data) })
    end
    assert.same({ { "5x1x3x4" }, range(60) }, { drain(assert(dataset.of(numbers { 5, 3, 4 }, model(IMAGES)))) })
    assert.same({ { "4x10" }, range(40) }, { drain(assert(dataset.of(numbers { 4, 10 }, model { "x", { "N", 10 } }))) })
    assert.same({ { "4x1" }, range(4) }, { drain(assert(dataset.of(numbers { 4 }, model { "x", { "N", 1 } }))) })
  end)

  it("puts it last where the model has it there", function()
    local nhwc = { "x", { "N", 3, 4, 1 } }
    assert.same({ { "5x3x4x1" }, range(60) }, { drain(assert(dataset.of(numbers { 5, 3, 4 }, model(nhwc)))) })
    assert.same({ { "1x3x4x1" }, range(12) }, { drain(assert(dataset.of(numbers { 3, 4 }, model(nhwc)))) })
    refuses(numbers { 5, 4, 3 }, model(nhwc), "expects float32 Nx3x4x1, got float32 5x4x3")
  end)

  it("lets open dimensions of the model be anything", function()
    local data = assert(dataset.of(numbers { 2, 1, 5, 4 }, model { "x", { "N", 1, "H", 4 } }))
    assert.same({ { "2x1x5x4" }, range(40) }, { drain(data) })
  end)

  it("casts every type to float32", function()
    for _, dtype in ipairs { "float64", "uint8", "int8", "int16", "int32", "int64", "float16" } do
      local data = assert(dataset.of(numbers({ 9, 3, 4 }, dtype), model(IMAGES)))
      assert.same({ { "9x1x3x4" }, range(108) }, { drain(data) }, dtype)
    end
  end)

  it("does not cast where the model wants another type", function()
    local m = model { "x", { "N", 2 }, dtype = "int64" }
    local batch = assert(dataset.of(numbers({ 3, 2 }, "int64"), m)):batches()()
    assert.equal("int64", batch.dtype)
    refuses(numbers { 3, 2 }, m, "expects int64 Nx2, got float32 3x2")
  end)

  it("keeps whole batches of a model with a batch of its own", function()
    local shapes = drain(assert(dataset.of(numbers { 130, 1, 3, 4 }, model { "x", { 10, 1, 3, 4 } })))
    assert.same({ "60x1x3x4", "60x1x3x4", "10x1x3x4" }, shapes)
    shapes = drain(assert(dataset.of(numbers { 200, 1, 3, 4 }, model { "x", { 100, 1, 3, 4 } })))
    assert.same({ "100x1x3x4", "100x1x3x4" }, shapes)
  end)

  it("names input, expected and got shape of what does not fit", function()
    refuses(numbers { 3, 3, 3, 4 }, model(IMAGES), "input 'x' expects float32 Nx1x3x4, got float32 3x3x3x4")
    refuses(numbers({ 12 }, "uint8"), model(IMAGES), "expects float32 Nx1x3x4, got uint8 12")
    refuses(numbers { 2, 3, 4 }, model { "x", { "N", 3, 3, 4 } }, "expects float32 Nx3x3x4, got float32 2x3x4")
    refuses(numbers { 2, 3, 4 }, model(), "no input")
  end)

  it("refuses to be empty", function()
    refuses(core.tensor { 0, 1, 3, 4 }, model(IMAGES), "holds no image")
    refuses({}, model(IMAGES), "holds no image")
  end)

  it("raises for what is no source", function()
    assert.error_matches(function() dataset.of(42, model(IMAGES)) end, "iterator, path or dataset expected, got number")
    assert.error_matches(function() dataset.of(nil, model(IMAGES)) end, "got nil")
  end)
end)

describe("a dataset of a list", function()
  it("puts images together and cuts batches", function()
    local list = {}
    for i = 1, 70 do list[i] = numbers({ 3, 4 }, i % 2 == 0 and "int32" or "float32", 12 * i - 11) end
    list[71] = numbers({ 100, 1, 3, 4 }, "float32", 841)
    local data = assert(dataset.of(list, model(IMAGES)))
    assert.equal(170, data:count())
    for _ = 1, 2 do
      assert.same({ { "64x1x3x4", "64x1x3x4", "42x1x3x4" }, range(2040) }, { drain(data) })
    end
  end)

  it("names the entry that does not fit", function()
    refuses({ numbers { 3, 4 }, numbers { 4, 3 } }, model(IMAGES), "entry 2", "got float32 4x3")
    refuses({ numbers { 3, 4 }, "text" }, model(IMAGES), "entry 2: tensor expected, got string")
  end)
end)

describe("a dataset of an iterator", function()
  local function iterator(n, shape)
    local i = 0
    return function()
      i = i + 1
      assert(i <= n + 1, "called after its end")
      return i <= n and numbers(shape or { 3, 4 }, "float32", 12 * i - 11) or nil
    end
  end

  it("runs it once and keeps what it returned for later passes", function()
    local data = assert(dataset.of(iterator(70), model(IMAGES)))
    assert.is_nil(data:count())
    for _ = 1, 3 do assert.same({ { "64x1x3x4", "6x1x3x4" }, range(840) }, { drain(data) }) end
  end)

  it("goes on where an unfinished pass stopped", function()
    local data = assert(dataset.of(iterator(130), model(IMAGES)))
    assert.same({ 64, 1, 3, 4 }, data:batches()().shape)
    assert.same(range(1560), (select(2, drain(data))))
  end)

  it("raises an error object for what does not fit, and when there is nothing", function()
    assert.matches("batch 1: input 'x' expects float32 Nx1x3x4, got float32 5",
      pass_error(assert(dataset.of(iterator(2, { 5 }), model(IMAGES)))).message)
    assert.matches("batch 1: tensor expected, got string",
      pass_error(assert(dataset.of(function() return "text" end, model(IMAGES)))).message)
    local err = pass_error(assert(dataset.of(function() end, model(IMAGES))))
    assert.matches("holds no image", err.message)
    assert.equal("format", err.code)
  end)
end)

describe("a dataset of an object", function()
  it("asks it for a pass each time", function()
    local passes = 0
    local object = {
      count = function() return 3 end,
      batches = function()
        passes = passes + 1
        local i = 0
        return function()
          i = i + 1
          return i <= 3 and numbers({ 3, 4 }, "uint8", 12 * i - 11) or nil
        end
      end,
    }
    local data = assert(dataset.of(object, model(IMAGES)))
    assert.equal(3, data:count())
    assert.same({ { "3x1x3x4" }, range(36) }, { drain(data) })
    assert.same({ { "3x1x3x4" }, range(36) }, { drain(data) })
    assert.equal(2, passes)
  end)

  it("may be a dataset of a model already", function()
    local data = assert(dataset.of(numbers { 70, 3, 4 }, model(IMAGES)))
    local again = assert(dataset.of(data, model(IMAGES)))
    assert.equal(70, again:count())
    assert.same({ { "64x1x3x4", "6x1x3x4" }, range(840) }, { drain(again) })
  end)
end)

describe("a dataset of several inputs", function()
  local TWO = { { "a", { "N", 2 } }, { "b", { "N", 3 } } }
  local function two() return model(table.unpack(TWO)) end

  -- Shapes and numbers of all batches, one list per input.
  local function drain_two(data)
    local shapes, a, b = {}, {}, {}
    for batch in data:batches() do
      assert.equal(2, #batch)
      shapes[#shapes + 1] = table.concat(batch[1].shape, "x") .. " " .. table.concat(batch[2].shape, "x")
      for _, v in ipairs(batch[1]:reshape({ -1 }):totable()) do a[#a + 1] = v end
      for _, v in ipairs(batch[2]:reshape({ -1 }):totable()) do b[#b + 1] = v end
    end
    return shapes, a, b
  end
  local ALL = { { "64x2 64x3", "6x2 6x3" }, range(140), range(210) }

  it("comes as a table of sources by name, in the order of the inputs", function()
    local list = {}
    for i = 1, 70 do list[i] = numbers({ 3 }, "int16", 3 * i - 2) end
    local data = assert(dataset.of({ b = list, a = numbers { 70, 2 } }, two()))
    assert.equal(70, data:count())
    assert.same(ALL, { drain_two(data) })
    assert.same(ALL, { drain_two(data) })
    assert.same(ALL, { drain_two(assert(dataset.of(data, two()))) })
  end)

  it("comes as a list or an iterator of tables by name", function()
    local list, i = {}, 0
    for k = 1, 70 do
      list[k] = { a = numbers({ 2 }, "float32", 2 * k - 1), b = numbers({ 3 }, "float32", 3 * k - 2) }
    end
    assert.same(ALL, { drain_two(assert(dataset.of(list, two()))) })
    local data = assert(dataset.of(function()
      i = i + 1
      return list[i]
    end, two()))
    assert.same(ALL, { drain_two(data) })
    assert.same(ALL, { drain_two(data) })
  end)

  it("refuses unknown, missing and unequal inputs", function()
    local a, b = numbers { 4, 2 }, numbers { 4, 3 }
    refuses({ a = a }, two(), "nothing for input 'b'")
    refuses({ a = a, b = b, c = b }, two(), "no input 'c', its inputs are a, b")
    refuses({ a = a, b = b:slice(1, 3) }, two(), "3 images for input 'b', 4 for those before it")
    refuses({ { a = a, b = b:slice(1, 3) } }, two(), "3 images for input 'b', 4 for input 'a'")
    refuses({ a = a, b = a }, two(), "input 'b' expects float32 Nx3, got float32 4x2")
    refuses(a, two(), "the model has 2 inputs (a, b)")
    local i = 0
    local short = function()
      i = i + 1
      return i <= 3 and b[1] or nil
    end
    local data = assert(dataset.of({ a = a, b = short }, two()))
    local ok, err = pcall(drain_two, data)
    assert.is_false(ok)
    assert.matches("input 'b' has another number of images than input 'a'", tostring(err))
  end)
end)

describe("a dataset of a file", function()
  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  local function put(name, bytes) return process.write_file(folder .. "/" .. name, bytes) end
  local function record(t, name) return { name = name, dtype = t.dtype, shape = t.shape, data = t:tobytes() } end
  local function idx(dtype, shape, data)
    return string.pack(">BBBB" .. ("I4"):rep(#shape), 0, 0, dtype, #shape, table.unpack(shape)) .. data
  end

  it("reads .npy, also by its content", function()
    local bytes = npy.encode(record(numbers({ 70, 3, 4 }, "float64")))
    for _, name in ipairs { "images.npy", "images" } do
      local path = put(name, bytes)
      local data = assert(dataset.of(path, model(IMAGES)))
      assert.equal(70, data:count())
      assert.same({ { "64x1x3x4", "6x1x3x4" }, range(840) }, { drain(data) })
    end
  end)

  it("reads IDX, plain and gzipped, with a scale", function()
    local bytes = {}
    for i = 1, 24 do bytes[i] = string.char(i) end
    local path = put("images-idx3-ubyte", idx(8, { 2, 3, 4 }, table.concat(bytes)))
    local data = assert(dataset.open(path, { scale = 1 / 256 }))
    assert.equal(2, data:count())
    assert.equal("uint8", data:raw().dtype)
    assert.same(range(24, 1 / 256), data:tensor():reshape({ -1 }):totable())
    assert.same({ { "2x1x3x4" }, range(24, 1 / 256) }, { drain(assert(dataset.of(data, model(IMAGES)))) })
    assert.same({ { "2x3x4" }, range(24, 1 / 256) }, { drain(data) })
    local packed = put("images.gz", support.fixture "codec/idx3.gz")
    assert.same({ { "2x1x3x4" }, range(24, 1, 0) }, { drain(assert(dataset.of(packed, model(IMAGES)))) })
  end)

  it("reads .npz: the only array, or those of the inputs' names", function()
    local path = put("one.npz", npz.encode { record(numbers { 2, 3, 4 }, "whatever") })
    assert.same({ { "2x1x3x4" }, range(24) }, { drain(assert(dataset.of(path, model(IMAGES)))) })
    path = put("two.npz", npz.encode { record(numbers { 5, 3 }, "b"), record(numbers({ 5, 2 }, "int64"), "a") })
    local data = assert(dataset.of(path, model({ "a", { "N", 2 } }, { "b", { "N", 3 } })))
    local batch = data:batches()()
    assert.same({ range(10), range(15) }, { batch[1]:reshape({ -1 }):totable(), batch[2]:reshape({ -1 }):totable() })
    assert.same({ "b", "a" }, dataset.open(path):names())
    refuses(path, model(IMAGES), "two.npz: no tensor for input 'x' (it holds: b, a)")
    local chosen = assert(dataset.open(path, { array = "b" }))
    assert.same({ { "5x3" }, range(15) }, { drain(assert(dataset.of(chosen, model { "x", { "N", 3 } }))) })
    local _, message = dataset.open(path, { array = "c" })
    assert.matches("no array 'c'; it holds b, a", message)
    for values in assert(dataset.open(path)):batches() do assert.same({ 5, 2 }, values.a.shape) end
    assert.error_matches(function() dataset.open(path):raw() end, "several arrays; name one")
  end)

  it("reads numpy's own .npz files", function()
    for _, name in ipairs { "stored.npz", "deflated.npz" } do
      assert.truthy(#assert(dataset.open("spec/fixtures/codec/" .. name)):names() > 0)
    end
  end)

  it("gives images the shape that is asked for", function()
    local path = put("flat.npy", npy.encode(record(numbers { 5, 12 })))
    local data = assert(dataset.open(path, { shape = { 1, 3, 4 }, scale = 2 }))
    assert.same({ { "5x1x3x4" }, range(60, 2) }, { drain(assert(dataset.of(data, model(IMAGES)))) })
    local nothing, message, code = dataset.open(path, { shape = { 5, 5 } })
    assert.same({ nil, "format" }, { nothing, code })
    assert.matches("flat.npy: cannot reshape 5x12 to 5x5x5", message)
  end)

  it("is callable, prints itself, and refuses options that do not exist", function()
    local path = put("p.npy", npy.encode(record(numbers({ 2, 3 }, "int16"))))
    assert.matches("p.npy: int16 2x3$", tostring(dataset(path)))
    assert.matches("^dataset of 2 images for x$", tostring(dataset.of(path, model { "x", { "N", 3 } })))
    assert.error_matches(function() dataset(path, { scael = 1 }) end, "unknown option 'scael'")
    assert.error_matches(function() dataset(path, { scale = "1" }) end, "scale: a number expected")
    assert.error_matches(function() dataset(1) end, "path, tensor or list of tensors expected, got number")
  end)

  it("says what is wrong with a file, beginning with its name", function()
    local function fails(path, code, part)
      local data, message, got = dataset.open(path)
      assert.is_nil(data)
      assert.equal(path, message:sub(1, #path))
      assert.truthy(message:find(part, 1, true), message)
      assert.equal(code, got)
    end
    local whole = npy.encode(record(numbers { 2, 3 }))
    fails(folder .. "/missing.npy", "io", "No such file")
    fails(folder, "format", "no .png, .jpg or .jpeg in this folder")
    fails(put("text.txt", "hello"), "format", "no dataset that espquant reads")
    fails(put("nothing", ""), "format", "no dataset that espquant reads")
    fails(put("empty.npy", ""), "format", "got ''")
    fails(put("cut.npy", whole:sub(1, -2)), "format", "needs 24 bytes, got 23")
    fails(put("cut.npz", npz.encode({ record(numbers { 2 }, "a") }):sub(1, -10)), "format", "npz")
    fails(put("cut.idx", idx(8, { 5 }, "1234")), "format", "needs 5 bytes, got 4")
    fails(put("cut.gz", support.fixture("codec/idx3.gz"):sub(1, -5)), "format", "gzip")
    fails(put("text.gz", support.fixture "codec/text.gz"), "format", "idx")
  end)

  it("is empty without images, in every format", function()
    local none = npy.encode(record(core.tensor { 0, 1, 3, 4 }))
    refuses(put("none.npy", none), model(IMAGES), "none.npy: it holds no image")
    refuses(put("none.idx", idx(8, { 0, 3, 4 }, "")), model(IMAGES), "none.idx: it holds no image")
    refuses(put("none.npz", npz.encode {}), model(IMAGES), "none.npz: it holds no image")
  end)
end)

describe("tensors as a dataset", function()
  local espquant = require "espquant"
  local images = espquant.tensor({ 1, 2, 3, 4, 5, 6 }, "uint8", { 3, 2 })
  local g = espquant.graph { name = "g", opset = 13 }
  g:add_output(g:add_node { op_type = "Relu", inputs = { g:add_input("x", "float32", { "N", 2 }) }, outputs = 1 }
    :output(1))

  local function values_of(source)
    local list = {}
    for batch in assert(espquant.dataset.of(source, g)):batches() do
      for i = 1, batch.count do list[#list + 1] = batch:reshape { -1 }[i] end
    end
    return list
  end

  it("are one tensor, or a list of batches and images, scaled", function()
    local one = espquant.dataset(images, { scale = 0.5 })
    assert.equal(3, one:count())
    assert.same({ 0.5, 1.0, 1.5, 2.0, 2.5, 3.0 }, values_of(one))
    local list = espquant.dataset({ images:slice(1, 2), images:slice(3, 3):reshape { 2 } }, { scale = 0.5 })
    assert.same({ 0.5, 1.0, 1.5, 2.0, 2.5, 3.0 }, values_of(list))
    assert.equal("dataset of 2 tensors", tostring(list))
    assert.equal(0.5, list:batches()():reshape { -1 }[1])
  end)

  it("are refused when they are none", function()
    local none, message, code = espquant.dataset {}
    assert.same({ nil, "dataset: empty dataset: it holds no image", "format" }, { none, message, code })
    assert.error_matches(function() espquant.dataset { 1 } end, "entry 1: tensor expected, got number")
    assert.error_matches(function() espquant.dataset(7) end, "path, tensor or list of tensors expected, got number")
  end)
end)
