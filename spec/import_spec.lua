--- What files of today hold besides nodes and tensors: local functions, branches and loops, sparse and small types.

local core = require "espquant.core"
local onnx = require "espquant.onnx"
local w = require "spec.support.wire"

local function read(bytes)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  local graph, message, code = onnx.load(path)
  os.remove(path)
  if not graph then return nil, message:gsub("^" .. path:gsub("%p", "%%%0") .. ": ", ""), code end
  return graph
end

local function ops(graph)
  local list = {}
  for node in graph:nodes() do if node.op_type ~= "Identity" then list[#list + 1] = node.op_type end end
  return table.concat(list, " ")
end

local function refused(code, pattern, bytes)
  local graph, message, got = read(bytes)
  assert.is_nil(graph)
  assert.equal(code, got)
  assert.matches(pattern, message)
end

local X, Y = { w.port("x", 1, { 2 }) }, { w.port "y" }
local x = core.tensor_from({ -1, 2 }, "float32")

local function result(graph, input) return core.evaluate(graph, input or x)[1]:totable() end

describe("local functions", function()
  local scaled = w.fn { name = "scaled", inputs = { "a", "b" }, outputs = { "c" }, attributes = { "slope" },
    nodes = { w.node("LeakyRelu", { "a" }, { "t" },
      { attributes = { w.attribute("alpha", { ref = "slope", type = 1 }) } }),
      w.node("Add", { "t", "a" }, { "c" }, { name = "add" }) } }
  local twice = w.fn { name = "twice", inputs = { "a" }, outputs = { "b" },
    nodes = { w.node("scaled", { "a" }, { "t" },
      { domain = "local", attributes = { w.attribute("slope", { f = 0.5 }) } }),
      w.node("scaled", { "t" }, { "b" }, { domain = "local" }) } }

  it("are put in place of their calls, with the caller's attributes", function()
    local graph = assert(read(w.model { inputs = X, outputs = Y, functions = { scaled, twice },
      nodes = { w.node("twice", { "x" }, { "y" }, { domain = "local", name = "call" }) } }))
    assert.equal("LeakyRelu Add LeakyRelu Add", ops(graph))
    -- -1: -0.5 - 1 = -1.5, then with ONNX's default slope 0.01
    assert.same({ -1.5, 4 }, core.evaluate(graph, x, { "call/t/c" })[1]:totable())
    local y = result(graph)
    assert.is_true(math.abs(y[1] + 1.515) < 1e-6 and y[2] == 8, y[1])
  end)

  it("keep apart what two calls name alike", function()
    local graph = assert(read(w.model { inputs = X, outputs = Y, functions = { scaled }, nodes = {
      w.node("scaled", { "x" }, { "t" }, { domain = "local" }),
      w.node("scaled", { "t" }, { "y" }, { domain = "local" }) } }))
    assert.equal("LeakyRelu Add LeakyRelu Add", ops(graph))
    assert.is_true(graph:verify())
  end)

  it("take their own defaults", function()
    local f = w.fn { name = "f", inputs = { "a" }, outputs = { "b" }, defaults = { w.attribute("slope", { f = 0.25 }) },
      nodes = { w.node("LeakyRelu", { "a" }, { "b" },
        { attributes = { w.attribute("alpha", { ref = "slope", type = 1 }) } }) } }
    local graph = assert(read(w.model { inputs = X, outputs = Y, functions = { f },
      nodes = { w.node("f", { "x" }, { "y" }, { domain = "local" }) } }))
    assert.same({ -0.25, 2 }, result(graph))
  end)

  it("are refused where they call themselves, mean another opset or do not fit", function()
    local function model(f, inputs)
      return w.model { inputs = X, outputs = Y, functions = { f },
        nodes = { w.node("f", inputs or { "x" }, { "y" }, { domain = "local" }) } }
    end
    local loop = w.fn { name = "f", inputs = { "a" }, outputs = { "b" },
      nodes = { w.node("f", { "a" }, { "b" }, { domain = "local" }) } }
    refused("limit", "function 'f' calls itself", model(loop))
    local old = w.fn { name = "f", inputs = { "a" }, outputs = { "b" }, opset = 11,
      nodes = { w.node("Relu", { "a" }, { "b" }) } }
    refused("unsupported", "'f' is written for opset 11, the model for opset 18", model(old))
    local plain = w.fn { name = "f", inputs = { "a" }, outputs = { "b" }, nodes = { w.node("Relu", { "a" }, { "b" }) } }
    refused("format", "2 inputs and 1 outputs, function 'f' has 1 and 1", model(plain, { "x", "x" }))
    local lost = w.fn { name = "f", inputs = { "a" }, outputs = { "b" }, nodes = { w.node("Relu", { "zz" }, { "b" }) } }
    refused("format", "'zz' is made by nobody", model(lost))
    local double = w.fn { name = "f", inputs = { "a" }, outputs = { "b" },
      nodes = { w.node("Relu", { "a" }, { "b" }), w.node("Relu", { "a" }, { "b" }) } }
    refused("format", "'b' is defined twice", model(double))
  end)

  it("that grow without end are refused", function()
    local functions = { w.fn { name = "f0", inputs = { "a" }, outputs = { "b" },
      nodes = { w.node("Relu", { "a" }, { "b" }) } } }
    for i = 1, 31 do
      functions[#functions + 1] = w.fn { name = "f" .. i, inputs = { "a" }, outputs = { "b" }, nodes = {
        w.node("f" .. i - 1, { "a" }, { "t" }, { domain = "local" }),
        w.node("f" .. i - 1, { "t" }, { "b" }, { domain = "local" }) } }
    end
    refused("limit", "100001 nodes or more", w.model { inputs = X, outputs = Y, functions = functions,
      nodes = { w.node("f31", { "x" }, { "y" }, { domain = "local" }) } })
  end)
end)

describe("If and Loop", function()
  local function flag(name, value) return w.tensor(name, 9, {}, string.char(value)) end
  local function count(name, n) return w.tensor(name, 7, {}, string.pack("<i8", n)) end
  local one = w.tensor("one", 1, {}, string.pack("<f", 1))

  local function branches(value)
    local function branch(op)
      return { g = w.graph { nodes = { w.node(op, { "x" }, { "z" }) }, outputs = { w.port "z" } } }
    end
    return w.model { inputs = X, outputs = Y, initializers = { flag("c", value) }, nodes = {
      w.node("If", { "c" }, { "y" }, { name = "if", attributes = {
        w.attribute("then_branch", branch "Relu"), w.attribute("else_branch", branch "Neg") } }) } }
  end

  it("take the branch of a constant condition", function()
    assert.equal("Relu", ops(assert(read(branches(1)))))
    local graph = assert(read(branches(0)))
    assert.equal("Neg", ops(graph))
    assert.same({ 1, -2 }, result(graph))
  end)

  -- y = x + rounds; rows: what each round had
  local function loop(rounds, condition)
    local body = w.graph {
      inputs = { w.port("i", 7, {}), w.port("go", 9, {}), w.port("v", 1, { 2 }) },
      outputs = { w.port "go_on", w.port "w", w.port "row" },
      nodes = { condition or w.node("Identity", { "go" }, { "go_on" }), w.node("Add", { "v", "one" }, { "w" }),
        w.node("Identity", { "v" }, { "row" }) },
    }
    return w.model { inputs = X, outputs = { w.port "y", w.port "rows" },
      initializers = { count("n", rounds), flag("c", 1), one },
      nodes = { w.node("Loop", { "n", "c", "x" }, { "y", "rows" },
        { attributes = { w.attribute("body", { g = body }) } }) } }
  end

  it("run a body as often as a constant count says", function()
    local graph = assert(read(loop(3)))
    local outputs = core.evaluate(graph, x)
    assert.same({ 2, 5 }, outputs[1]:totable())
    assert.same({ { -1, 2 }, { 0, 3 }, { 1, 4 } }, outputs[2]:totable())
    assert.is_true(graph:verify())
  end)

  it("refuse counts beyond the limit, and conditions of data", function()
    refused("limit", "1000000000 rounds, the limit is 1024", loop(1000000000))
    local graph, message, code = read(loop(3, w.node("Less", { "i", "n" }, { "go_on" })))
    assert.is_nil(graph)
    assert.equal("unsupported", code)
    assert.matches("depends on data", message)
  end)

  it("refuse outputs that their body does not have", function()
    local branch = { g = w.graph { outputs = { w.port "x" }, nodes = {} } }
    local two = { w.port "y", w.port "z" }
    refused("format", "If %-> 'y': output 2 is no output of its body", w.model { inputs = X, outputs = two,
      initializers = { flag("c", 1) },
      nodes = { w.node("If", { "c" }, { "y", "z" }, { attributes = { w.attribute("then_branch", branch) } }) } })
    local body = w.graph { inputs = { w.port("i", 7, {}), w.port("go", 9, {}), w.port("v", 1, { 2 }) },
      outputs = { w.port "go", w.port "v" }, nodes = {} }
    for _, case in ipairs { { 2, { "n", "c", "x" }, { "y", "z" }, 2 }, { 0, { "n", "c", "" }, { "y" }, 1 } } do
      refused("format", ("Loop %%-> 'y': output %d is no output of its body"):format(case[4]), w.model { inputs = X,
        outputs = { w.port "y" }, initializers = { count("n", case[1]), flag("c", 1) },
        nodes = { w.node("Loop", case[2], case[3], { attributes = { w.attribute("body", { g = body }) } }) } })
    end
  end)

  it("leave a condition that is computed", function()
    local function branch(op)
      return { g = w.graph { nodes = { w.node(op, { "x" }, { "z" }) }, outputs = { w.port "z" } } }
    end
    local graph = assert(read(w.model { inputs = { X[1], w.port("c", 9, {}) }, outputs = Y, nodes = {
      w.node("If", { "c" }, { "y" }, { name = "if", attributes = {
        w.attribute("then_branch", branch "Relu"), w.attribute("else_branch", branch "Neg") } }) } }))
    assert.equal("If", ops(graph))
  end)
end)

describe("tensors of other kinds", function()
  local function constant(parts)
    parts.inputs, parts.outputs = X, Y
    parts.nodes = { w.node("Identity", { "x" }, { "y" }) }
    return w.model(parts)
  end

  it("sparse ones become dense", function()
    local function sparse(indices, dims)
      return w.field(1, w.tensor("w", 1, { 2 }, string.pack("<ff", 5, 6)))
        .. w.field(2, w.tensor("i", 7, dims, string.pack("<" .. ("i8"):rep(#indices), table.unpack(indices))))
        .. w.field(3, 2) .. w.field(3, 2)
    end
    local function model(...) return constant { sparse = { sparse(...) } } end
    assert.same({ { 0, 5 }, { 6, 0 } }, read(model({ 1, 2 }, { 2 })):value "w".constant:totable())
    assert.same({ { 0, 5 }, { 6, 0 } }, read(model({ 0, 1, 1, 0 }, { 2, 2 })):value "w".constant:totable())
    refused("format", "index 4 is outside of 4 elements", model({ 1, 4 }, { 2 }))
    refused("format", "index %-1 is outside of axis 0", model({ 0, 1, -1, 0 }, { 2, 2 }))
    refused("format", "do not fit", model({ 0, 1, 1 }, { 3 }))
  end)

  it("integers of 4 bits become those of 8", function()
    local function model(dtype, dims, raw) return constant { initializers = { w.tensor("w", dtype, dims, raw) } } end
    local w4 = read(model(22, { 3 }, "\x81\x07")):value "w".constant
    assert.same({ "int8", { 1, -8, 7 } }, { w4.dtype, w4:totable() })
    local u4 = read(model(21, { 2 }, "\xf1")):value "w".constant
    assert.same({ "uint8", { 1, 15 } }, { u4.dtype, u4:totable() })
    refused("format", "3 4%-bit integers need 2 bytes", model(22, { 3 }, "\x81"))
  end)

  it("bfloat16 becomes float32, at the ports too", function()
    local graph = assert(read(w.model { inputs = { w.port("x", 16, { 2 }) }, outputs = { w.port("y", 16) },
      nodes = { w.node("Neg", { "x" }, { "y" }) } }))
    assert.equal("float32", graph.inputs[1].dtype)
    assert.same({ 1, -2 }, result(graph))
  end)
end)

describe("models of other floats", function()
  local function model(dtype, last)
    local g = core.graph { opset = 13 }
    local input = g:add_input("x", dtype, { 1, 1, 2, 2 })
    local slope = g:add_constant("w", core.tensor_from({ 0.5, 2 }, dtype):reshape { 2, 1, 1, 1 })
    local function node(op, inputs, attrs)
      return g:add_node { op_type = op, inputs = inputs, attrs = attrs, outputs = 1 }:output(1)
    end
    local half = node("Cast", { node("Neg", { input }) }, { to = 1 })
    local y = node("Mul", { node("Cast", { half }, { to = dtype == "float16" and 10 or 11 }), slope })
    g:add_output(node(last, { y }))
    return g
  end

  for _, dtype in ipairs { "float16", "float64" } do
    it("such as " .. dtype .. " become float32 where an operator computes in that", function()
      local path = os.tmpname()
      assert(core.onnx_write(model(dtype, "Relu"), path))
      local graph, notes = onnx.load(path)
      os.remove(path)
      assert.matches("^float16 and float64 are read as float32, in which Relu .- computes$", notes[#notes])
      assert.same({ "float32", "float32", "float32" }, { graph.inputs[1].dtype, graph:value "w".constant.dtype,
        graph.outputs[1].dtype })
      local y = core.evaluate(graph, core.tensor_from({ -1, 0.25, -3, 4 }, "float32"):reshape { 1, 1, 2, 2 })[1]
      assert.same({ { { { 0.5, 0 }, { 1.5, 0 } } }, { { { 2, 0 }, { 6, 0 } } } }, y:totable())
      assert(core.executor(graph))
    end)

    it("such as " .. dtype .. " stay where all operators know them, or one is not known", function()
      for _, last in ipairs { "Neg", "Strange" } do
        local path = os.tmpname()
        assert(core.onnx_write(model(dtype, last), path))
        local graph, notes = onnx.load(path)
        os.remove(path)
        assert.same({ dtype, {} }, { assert(graph).inputs[1].dtype, notes })
      end
    end)
  end
end)

describe("nodes of domains that are not known", function()
  local strange = w.node("Strange", { "x", "", "c" }, { "a", "", "y" }, { name = "odd", domain = "com.example",
    attributes = { w.attribute("i", -3), w.attribute("f", { f = 0.1 }),
      w.field(1, "s") .. w.field(4, "\0text\xff") .. w.field(20, 3),
      w.field(1, "many") .. w.field(9, "a") .. w.field(9, "") .. w.field(20, 8),
      w.attribute("g", { g = w.graph { nodes = { w.node("Odder", { "x" }, { "b" }, { domain = "com.other" }) } } }) } })
  local about = w.field(8, w.field(1, "com.example") .. w.field(2, 7)) .. w.field(8, w.field(1, "com.other")
    .. w.field(2, 3))
  local bytes = w.model { inputs = X, outputs = { w.port("y", 3, { 5, 1 }) }, about = about, opset = 19,
    nodes = { strange }, initializers = { w.tensor("c", 1, {}, "\0\0\0\0") } }

  it("are written as they were read, with their opset_import and the types of their results", function()
    local path = os.tmpname()
    local graph = assert(read(bytes))
    for _ = 1, 2 do
      assert(onnx.save(graph, path))
      local file <close> = io.open(path, "rb")
      local written = file:read "a"
      assert.truthy(written:find(strange, 1, true))
      assert.truthy(written:find(w.field(8, w.field(1, "com.example") .. w.field(2, 7)), 1, true))
      assert.truthy(written:find(w.field(8, w.field(1, "com.other") .. w.field(2, 3)), 1, true))
      graph = assert(onnx.load(path))
      assert.same({ "int8", { 5, 1 } }, { graph.outputs[1].dtype, graph.outputs[1].shape })
    end
    os.remove(path)
  end)

  it("keep the rank of their results only, once an input has another shape", function()
    local graph = assert(read(bytes))
    assert(graph.inputs[1]:set_shape { "N" })
    assert(graph:infer_shapes())
    assert.same({ false, false }, graph.outputs[1].shape)
  end)
end)

describe("what a file says about its model", function()
  local function pair(key, value) return w.field(14, w.field(1, key) .. w.field(2, value)) end
  local bytes = w.model { inputs = X, outputs = Y, nodes = { w.node("Relu", { "x" }, { "y" }) },
    about = w.field(2, "pytorch") .. w.field(3, "2.9") .. w.field(4, "org.example") .. w.field(5, 7)
      .. pair("license", "MIT") .. pair("empty", "") }

  it("is in the file that is written of it, and of a copy", function()
    local graph = assert(read(bytes))
    local path = os.tmpname()
    assert(onnx.save(assert(graph:clone()), path))
    local file <close> = assert(io.open(path, "rb"))
    local written, again = file:read "a", assert(onnx.load(path))
    os.remove(path)
    assert.same({ "pytorch", "2.9" }, { again.producer, again.producer_version })
    assert.same({ license = "MIT", empty = "" }, again.metadata)
    assert.truthy(written:find(w.field(4, "org.example") .. w.field(5, 7), 1, true))
  end)

  it("may be an opset newer than any number of ours: it is tried, also when it was written", function()
    local path = os.tmpname()
    local graph = assert(read(w.model { inputs = X, outputs = Y, opset = 1 << 33, nodes = {
      w.node("Reshape", { "x", "s" }, { "y" }) }, initializers = { w.tensor("s", 7, { 1 }, ("<i8"):pack(2)) } }))
    assert(onnx.save(graph, path))
    assert.equal(1 << 33, assert(onnx.load(path)).opset)
    os.remove(path)
  end)

  it("may be of IR 3 to 13; newer ones are tried", function()
    for ir = 3, 14 do
      local path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write(w.model { ir = ir, inputs = X, outputs = Y, nodes = { w.node("Relu", { "x" }, { "y" }) } })
      file:close()
      local graph, notes = assert(onnx.load(path))
      os.remove(path)
      assert.same({ 0, 2 }, result(graph))
      assert.equal(ir > 13 and 1 or 0, #notes)
    end
  end)
end)
