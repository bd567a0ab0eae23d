--- Forms that files may have and our own writer never writes: constants in all ways, lists in any order, names that are
--- missing or given twice.

local core = require "espquant.core"
local onnx = require "espquant.onnx"
local optimizer = require "espquant.optimizer"
local w = require "spec.support.wire"

local function read(bytes)
  local path <close> = setmetatable({ os.tmpname() }, { __close = function(t) os.remove(t[1]) end })
  local file <close> = assert(io.open(path[1], "wb"))
  file:write(bytes)
  file:close()
  return onnx.load(path[1])
end

local X, Y = { w.port("x", 1, { 2 }) }, { w.port "y" }
local x = core.tensor_from({ -1, 2 }, "float32")

local function result(graph) return assert(core.evaluate(graph, x))[1]:totable() end

local function names(graph)
  local list = {}
  for node in graph:nodes() do list[#list + 1] = node.name end
  return list
end

local function is_unique(graph)
  local seen = {}
  for _, name in ipairs(names(graph)) do
    assert.is_true(name ~= "" and not seen[name], name)
    seen[name] = true
  end
end

describe("a Constant", function()
  local function attribute(name, fields, kind) return w.field(1, name) .. fields .. w.field(20, kind) end
  local function floats(...) return string.pack("<" .. ("f"):rep(select("#", ...)), ...) end

  -- y = x + the constant, or cast to float
  local function model(constant)
    return w.model { inputs = X, outputs = Y, nodes = { w.node("Constant", {}, { "c" }, { attributes = { constant } }),
      w.node("Cast", { "c" }, { "f" }, { attributes = { w.attribute("to", 1) } }),
      w.node("Add", { "x", "f" }, { "y" }) } }
  end

  local sparse = w.field(1, w.tensor("", 1, { 1 }, floats(5))) .. w.field(2, w.tensor("", 7, { 1 }, ("<i8"):pack(1)))
    .. w.field(3, 2)
  local cases = {
    { "value", w.attribute("value", { t = w.tensor("", 1, { 2 }, floats(1, 0.5)) }), { 0, 2.5 } },
    { "value_float", w.attribute("value_float", { f = 0.5 }), { -0.5, 2.5 } },
    { "value_floats", attribute("value_floats", w.field(7, floats(3, 4)), 6), { 2, 6 } },
    { "value_int", w.attribute("value_int", 3), { 2, 5 } },
    { "value_ints", attribute("value_ints", w.field(8, 3) .. w.field(8, -1), 7), { 2, 1 } },
    { "sparse_value", attribute("sparse_value", w.field(22, sparse), 11), { -1, 7 } },
  }
  for _, case in ipairs(cases) do
    it("holds a " .. case[1], function() assert.same(case[3], result(assert(read(model(case[2]))))) end)
  end

  for name, fields in pairs { value_string = w.field(4, "text"), value_strings = w.field(9, "a") .. w.field(9, "b") } do
    it("of " .. name .. " is refused by name", function()
      local graph, message, code = read(model(attribute(name, fields, name == "value_string" and 3 or 8)))
      assert.same({ nil, "unsupported" }, { graph, code })
      assert.matches(name, message, 1, true)
      assert.matches("'c'", message, 1, true)
    end)
  end
end)

describe("nodes", function()
  local function weight(name) return w.tensor(name, 1, { 1 }, ("<f"):pack(3)) end

  it("come in any order", function()
    local graph = assert(read(w.model { inputs = X, outputs = Y, nodes = { w.node("Neg", { "b" }, { "y" }),
      w.node("Relu", { "a" }, { "b" }), w.node("Mul", { "x", "k" }, { "a" }) }, initializers = { weight "k" } }))
    assert.same({ 0, -6 }, result(graph))
    assert.is_true(graph:verify())
  end)

  it("have constants that are listed as inputs", function()
    local graph = assert(read(w.model { inputs = { X[1], w.port("k", 1, { 1 }) }, outputs = Y,
      nodes = { w.node("Mul", { "x", "k" }, { "y" }) }, initializers = { weight "k" } }))
    assert.equal(1, #graph.inputs)
    assert.same({ -3, 6 }, result(graph))
  end)

  it("leave out inputs, in the middle and at the end", function()
    local graph = assert(read(w.model { inputs = X, outputs = Y,
      nodes = { w.node("Clip", { "x", "", "k" }, { "a" }), w.node("Clip", { "a", "", "" }, { "y" }) },
      initializers = { w.tensor("k", 1, {}, ("<f"):pack(0.5)) } }))
    assert.same({ -1, 0.5 }, result(graph))
    assert.same({ -1, 0.5 }, result((optimizer.optimize(graph))))
  end)

  it("call the function of their overload", function()
    local function fn(op, overload)
      return w.fn { name = "f", inputs = { "a" }, outputs = { "b" }, nodes = { w.node(op, { "a" }, { "b" }) } }
        .. w.field(13, overload)
    end
    local function call(input, output, overload)
      return w.node("f", { input }, { output }, { domain = "local" }) .. w.field(8, overload)
    end
    local functions = { fn("Relu", "r"), fn("Neg", "n") }
    local graph = assert(read(w.model { ir = 10, inputs = X, outputs = Y, functions = functions,
      nodes = { call("x", "t", "n"), call("t", "y", "r") } }))
    assert.same({ 1, 0 }, result(graph))
  end)
end)

describe("names of nodes", function()
  local function model(list)
    local nodes = {}
    for i, name in ipairs(list) do
      nodes[i] = w.node(i % 2 == 1 and "Neg" or "Relu", { i == 1 and "x" or "t" .. i - 1 },
        { i == #list and "y" or "t" .. i }, { name = name })
    end
    return assert(read(w.model { inputs = X, outputs = Y, nodes = nodes }))
  end

  local cases = {
    { "that are missing", { "", "", "" }, { "Neg_0", "Relu_0", "Neg_1" } },
    { "that are given twice", { "a", "a", "a" }, { "a", "Relu_0", "Neg_0" } },
    { "that look like ours", { "", "Neg_0", "" }, { "Neg_1", "Neg_0", "Neg_2" } },
    { "that are good", { "c", "b", "a" }, { "c", "b", "a" } },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " are completed by optimizing and in the file that is saved, not in the model", function()
      local graph, path = model(case[2]), os.tmpname()
      assert.same(case[3], names((optimizer.optimize(graph, { "nop" }))))
      assert(onnx.save(graph, path))
      local saved = assert(onnx.load(path))
      os.remove(path)
      assert.same(case[3], names(saved))
      assert.same(case[2], names(graph))
      assert.same(result(graph), result(saved))
      is_unique((optimizer.optimize(graph)))
    end)
  end

  it("that are missing or given twice change no table", function()
    local espquant = require "espquant"
    local function table_of(name)
      local graph = core.graph { name = "m", opset = 13 }
      local value = graph:add_input("x", "float32", { 1, 2, 4, 4 })
      for i = 1, 2 do
        local weight = graph:add_constant("w" .. i, core.tensor_from({ 0.5, -1, 0.25, 1 }, "float32", { 2, 2, 1, 1 }))
        local conv = graph:add_node { op_type = "Conv", name = name or "conv" .. i, inputs = { value, weight } }
        value = graph:add_node { op_type = "Relu", name = name or "relu" .. i, inputs = { conv } }:output(1)
        conv:output(1):rename("c" .. i)
        value:rename("r" .. i)
      end
      graph:add_output(value)
      local calib = espquant.Calibrator("int8", "per-tensor", "minmax")
      local table = calib:generate_quantization_table(graph, core.tensor { 1, 2, 4, 4 } + 0.75)
      return (table:to_json():gsub('"model": "%x+"', "")) -- the hash of the file
    end
    local good = table_of(nil)
    assert.same({ good, good }, { table_of "", table_of "same" })
  end)
end)
