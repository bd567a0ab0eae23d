--- ONNX files from Lua: models go out and come back the same, and what is no model gets a message with its path.

local core = require "espquant.core"
local defaults = require "espquant.defaults"
local onnx = require "espquant.onnx"

local function model()
  local g = core.graph { name = "m", opset = 13 }
  local x = g:add_input("x", "float32", { "N", 3, false, 8 })
  local w = g:add_constant("w", core.tensor_from({ 0.5, -1, 2 ^ -149, 3, 0, 1 }, "float32", { 2, 3, 1, 1 }))
  local conv = g:add_node { op_type = "Conv", name = "c", inputs = { x, w }, outputs = { "c_out" },
    attrs = { kernel_shape = { 1, 1 }, group = 1, auto_pad = "NOTSET" } }
  local clip = g:add_node { op_type = "Clip", name = "clip", inputs = { conv, false, g:add_constant("high",
    core.tensor_from(6)) } }
  g:add_output(clip)
  return g
end

-- A path for a new file.
local function scratch(name)
  local path = os.tmpname()
  os.remove(path)
  return path .. "." .. name
end

describe("espquant.onnx", function()
  it("saves and loads the same graph", function()
    local path = scratch "onnx"
    local g = model()
    assert.is_true(g:infer_shapes()) -- as loading does
    assert.is_true(onnx.save(g, path))
    local h, notes = onnx.load(path)
    os.remove(path)
    assert.same({}, notes)
    assert.is_nil(g:node "c":attrs().strides) -- the model that was given stays as it was
    defaults.complete(g)
    assert.is_true(core.onnx_encode(g) == core.onnx_encode(h))
    assert.same({ "N", 3, false, 8 }, h.inputs[1].shape)
    assert.is_true(h:value "w".constant:equal(g:value "w".constant))
    local clip = h:node_list()[2]
    assert.same({ "c_out", nil, "high" }, { clip:input(1).name, clip:input(2), clip:input(3).name })
    assert.same(g:node "c":attrs(), h:node "c":attrs())
    assert.same({ { 1, 1 }, { 1, 1 }, 1 }, { h:node "c":attr "kernel_shape", h:node "c":attr "strides",
      h:node "c":attr "group" })
  end)

  it("loads the example's model", function()
    local g, notes = onnx.load "examples/mnist.onnx"
    assert.is_true(#g > 5)
    assert.same({}, notes)
    assert.is_true(g:check())
    assert.is_true(g:infer_shapes())
    assert.is_true(g:verify())
    assert.same({ "N", 10 }, { g.inputs[1].shape[1], g.outputs[1].shape[2] })
  end)

  it("names the path of what it cannot read", function()
    local path = scratch "onnx"
    local bytes = core.onnx_encode(model())
    local cases = {
      { "format", "junk" }, { "format", bytes:sub(1, -2) }, { "format", bytes:sub(1, 20) }, { "format", "" },
    }
    for i, case in ipairs(cases) do
      assert.is_true(core.write_file(path, case[2]))
      local g, message, code = onnx.load(path)
      assert.is_nil(g, "case " .. i)
      assert.equal(case[1], code)
      assert.equal(path, message:sub(1, #path))
    end
    os.remove(path)
    local g, message, code = onnx.load(path)
    assert.same({ nil, "io" }, { g, code })
    assert.equal(path, message:sub(1, #path))
    g, message, code = onnx.load "spec"
    assert.same({ nil, "io" }, { g, code })
    assert.matches("^spec: ", message)
  end)

  it("has a limit of bytes", function()
    local path = scratch "onnx"
    local g = model()
    onnx.save(g, path)
    local h, message, code = onnx.load(path, { limits = { bytes = 10 } })
    os.remove(path)
    assert.same({ nil, "limit" }, { h, code })
    assert.equal(path, message:sub(1, #path))
    assert.error_matches(function() onnx.load(path, { limits = { bytes = 0 } }) end, "a positive integer expected")
    assert.error_matches(function() onnx.load(path, { max_byte = 1 }) end, "unknown option 'max_byte'")
  end)

  it("says what it cannot write, and leaves nothing behind", function()
    local ok, message, code = onnx.save(model(), "/nonexistent/folder/m.onnx")
    assert.same({ nil, "io" }, { ok, code })
    assert.matches("/nonexistent/folder/m%.onnx", message)
    assert.error_matches(function() onnx.save(nil, "x.onnx") end, "espquant.graph expected")
    assert.error_matches(function() onnx.save(model()) end, "string expected")
    local g = model()
    g:close()
    assert.error_matches(function() onnx.save(g, "x.onnx") end, "the graph is closed")
  end)
end)

describe("core.onnx_decode", function()
  it("takes bytes, and external data only from a folder that is named", function()
    local bytes = core.onnx_encode(model())
    local g = assert(core.onnx_decode(bytes))
    assert.equal(2, #g)
    assert.is_truthy(core.onnx_decode(bytes, "."))
    assert.error_matches(function() core.onnx_decode() end, "string expected")
    assert.error_matches(function() core.onnx_decode(bytes, "a\0b") end, "without zero bytes")
  end)

  it("survives every truncation and many mutations of a model", function()
    local bytes = core.onnx_encode(model())
    local codes = { format = true, unsupported = true, limit = true }
    local function try(text)
      local g, message, code = core.onnx_decode(text)
      if g then
        g:check()
        g:infer_shapes()
        g:verify()
        tostring(g)
        g:close()
      else
        assert.is_true(codes[code], tostring(code) .. ": " .. tostring(message))
      end
    end
    for i = 0, #bytes - 1 do try(bytes:sub(1, i)) end
    local seed = 42
    for _ = 1, 600 do
      seed = (seed * 1103515245 + 12345) % 2147483648
      local at = seed // 8 % #bytes + 1
      try(bytes:sub(1, at - 1) .. string.char(seed // 65536 % 256) .. bytes:sub(at + 1))
    end
  end)
end)
