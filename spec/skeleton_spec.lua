--- Large weights stay in the file's bytes: whatever their type, place and size, they are read as they were written.

local core = require "espquant.core"
local onnx = require "espquant.onnx"
local w = require "spec.support.wire"

local TYPES = { { "float32", 1, 4 }, { "uint8", 2, 1 }, { "int8", 3, 1 }, { "int32", 6, 4 }, { "int64", 7, 8 },
  { "bool", 9, 1 }, { "float16", 10, 2 }, { "float64", 11, 8 } }

local function bytes_of(size, seed, modulus)
  local list = {}
  for i = 1, size do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    list[i] = string.char((seed >> 8) % modulus)
  end
  return table.concat(list)
end

local function load(bytes)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
  file:flush()
  local model, message, code = onnx.load(path)
  os.remove(path)
  return model, message, code
end

local function model(initializers)
  return w.model { inputs = { w.port("x", 1, { 2 }) }, outputs = { w.port "y" }, initializers = initializers,
    nodes = { w.node("Identity", { "x" }, { "y" }) } }
end

describe("large initializers", function()
  it("of every type, at every alignment and around the size from which they stay, are as in the file", function()
    local raw, list = {}, {}
    for shift = 1, 8 do
      for _, t in ipairs(TYPES) do
        for _, size in ipairs { 4088, 4096, 4104 } do
          local name = ("%s_%d_"):format(t[1], size) .. ("x"):rep(shift)
          raw[name] = bytes_of(size, #list + 1, t[1] == "bool" and 2 or 64)
          list[#list + 1] = w.tensor(name, t[2], { size // t[3] }, raw[name])
        end
      end
    end
    local graph = assert(load(model(list)))
    for name, bytes in pairs(raw) do
      local t = graph:value(name).constant
      assert.is_true(t:tobytes() == bytes, name)
    end
    assert.equal(#list, #graph:values() - 2)
  end)

  it("outlive the model, and can be changed without changing each other", function()
    local bytes = bytes_of(8192, 3, 64)
    local graph = assert(load(model { w.tensor("a", 1, { 2048 }, bytes), w.tensor("b", 1, { 2048 }, bytes) }))
    local a, b = graph:value "a".constant, graph:value "b".constant
    graph:close()
    collectgarbage()
    a:fill(0)
    assert.is_true(b:tobytes() == bytes)
    assert.equal(0, a:maxabs())
  end)

  it("are written again as they were", function()
    local bytes = bytes_of(40000, 5, 64)
    local graph = assert(load(model { w.tensor("a", 1, { 100, 100 }, bytes) }))
    local again = assert(core.onnx_decode(core.onnx_encode(graph)))
    assert.is_true(again:value "a".constant:tobytes() == bytes)
  end)

  it("of a size that is not their shape's are refused", function()
    for _, count in ipairs { 1023, 1025, 0 } do
      local nothing, message, code = load(model { w.tensor("a", 1, { count }, ("x"):rep(4096)) })
      assert.is_nil(nothing)
      assert.equal("format", code)
      assert.matches("initializer 'a': float32 of shape .* needs %d+ bytes, got 4096", message)
    end
  end)

  it("of 4-bit integers and bfloat16 become larger types", function()
    local graph = assert(load(model { w.tensor("a", 22, { 8192 }, ("\x71"):rep(4096)),
      w.tensor("b", 16, { 2048 }, ("\x80\x3f"):rep(2048)) }))
    assert.same({ 1, 7 }, graph:value "a".constant:slice(1, 2):totable())
    assert.equal(1.0, graph:value "b".constant:min())
  end)
end)
