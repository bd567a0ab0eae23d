--- Graphs, nodes and values as Lua sees them: building, walking, editing, attributes, and handles that outlive things.

local core = require "espquant.core"
local small = require "spec.support.small_graph"

local function labels(list)
  local out = {}
  for i, node in ipairs(list) do out[i] = node.op_type end
  return table.concat(out, " ")
end

describe("a graph", function()
  it("has a name, versions and a producer that can be set", function()
    local g = core.graph { name = "n", opset = 12, ir_version = 7 }
    assert.same({ "n", 12, 7, "" }, { g.name, g.opset, g.ir_version, g.producer })
    g.name, g.opset, g.ir_version, g.producer = "m", 13, 8, "me"
    assert.same({ "m", 13, 8, "me" }, { g.name, g.opset, g.ir_version, g.producer })
    assert.same({ [""] = 13 }, g:opsets())
    assert.same({ 13, 8 }, { core.graph().opset, core.graph().ir_version })
  end)

  it("is built, checked and printed", function()
    local g, conv, relu, x, w = small()
    assert.is_true(g:check())
    assert.is_true(g:infer_shapes())
    assert.is_true(g:verify())
    assert.equal(2, #g)
    assert.same({ "N", 4, 8, 8 }, relu:output(1).shape)
    assert.equal("Conv Relu", labels(g:node_list()))
    assert.same({ "graph 'small': opset 11, 2 nodes, 1 constants (432 bytes)" }, { tostring(g):match "^[^\n]*" })
    assert.same({ "Conv 'conv1'", "Relu -> 'y'" }, { tostring(conv), tostring(relu) })
    assert.same({ "input 'x': float32 Nx3x8x8", "constant 'w': float32 4x3x3x3" }, { tostring(x), tostring(w) })
    assert.equal("conv1", g:node "conv1".name)
    assert.is_nil(g:node "conv2")
    assert.equal(w, g:value "w")
    assert.is_nil(g:value "v")
    assert.equal(4, #g:values())
  end)

  it("gives lists that are its own copies", function()
    local g, _, relu, x = small()
    assert.same({ 1, 1 }, { #g.inputs, #g.outputs })
    assert.equal(x, g.inputs[1])
    assert.equal(relu:output(1), g.outputs[1])
    g.inputs[1] = nil
    assert.equal(1, #g.inputs)
  end)

  it("refuses names and outputs that are taken", function()
    local g, conv = small()
    for _, call in ipairs {
      function() return g:add_input("x", "float32", { 1 }) end,
      function() return g:add_constant("conv1_out", core.tensor { 1 }) end,
      function() return g:add_node { op_type = "Relu", inputs = { conv }, outputs = { "y" } } end,
      function() return g:add_node { op_type = "Relu", inputs = { conv }, outputs = { g:value "y" } } end,
      function() return g:add_node { op_type = "Relu", inputs = { conv }, outputs = { "fresh", "fresh" } } end,
      function() return g:value "y":rename "x" end,
      function() return g:value "y":rename "" end,
    } do
      local result, message, code = call()
      assert.is_nil(result)
      assert.equal("string", type(message))
      assert.equal("format", code)
    end
    assert.same({ 2, 4 }, { #g, #g:values() })
    assert.is_true(g:verify())
  end)

  it("is cloned with shared constants", function()
    local g = small()
    local h = g:clone()
    assert.equal(tostring(g), tostring(h))
    h:node "conv1":set_attr("group", 3)
    assert.equal(1, g:node "conv1":attr "group")
    assert.is_false(g:value "w" == h:value "w")
    g:value "w".constant:fill(2)
    assert.equal(2, h:value "w".constant:max())
  end)

  it("is sorted, and a cycle is named", function()
    local g, conv, relu = small()
    conv:move_before(nil)
    assert.equal("Relu Conv", labels(g:node_list()))
    local ok, message, code = g:verify()
    assert.same({ nil, "bug" }, { ok, code })
    assert.matches("before the producer", message)
    assert.is_true(g:sort())
    assert.equal("Conv Relu", labels(g:node_list()))
    conv:set_input(1, relu)
    ok, message, code = g:sort()
    assert.same({ nil, "format" }, { ok, code })
    assert.matches("cycle.*conv1", message)
  end)

  it("replaces values, keeps the names of outputs, and drops what nobody needs", function()
    local g, conv, relu = small()
    local y = relu:output(1)
    assert.is_true(g:replace(relu, conv))
    assert.equal("y", conv:output(1).name)
    assert.equal(conv:output(1), g.outputs[1])
    assert.equal(1, g:prune())
    assert.is_false(relu.alive)
    assert.is_false(y.alive)
    assert.is_true(g:verify())
    local ok, _, code = g:replace(conv, g:value "x")
    assert.same({ nil, "unsupported" }, { ok, code })
  end)

  it("has inputs that can become constants", function()
    local g, _, _, x = small()
    assert.error_matches(function() x:set_constant(core.tensor { 1, 3, 8, 8 }) end, "input of the graph")
    g:remove_input(x)
    assert.is_false(x.is_input)
    x:set_constant(core.tensor { 1, 3, 8, 8 })
    assert.is_true(g:infer_shapes())
    assert.same({ 1, 4, 8, 8 }, g.outputs[1].shape)
    assert.error_matches(function() g:remove_input(x) end, "no input of the graph")
    assert.error_matches(function() g:value "y":set_constant(core.tensor {}) end, "node's output")
  end)

  it("puts nodes where they are asked for and replaces outputs", function()
    local g, _, relu = small()
    local new = g:add_node { op_type = "Identity", inputs = { g:value "conv1_out" }, before = relu }
    assert.equal("Conv Identity Relu", labels(g:node_list()))
    assert.same({ "Identity", "Relu" }, { relu:prev().op_type, new:next().op_type })
    assert.is_nil(relu:next())
    g:add_output(new:output(1), 1)
    assert.same({ 1, new:output(1) }, { #g.outputs, g.outputs[1] })
    assert.error_matches(function() g:add_output(new:output(1), 2) end, "no output of this number")
    g:add_output(relu)
    assert.equal(2, #g.outputs)
  end)

  it("names the batch only where it goes", function()
    local g = core.graph { name = "batch", opset = 13 }
    local x = g:add_input("x", "float32", { "N", 4, 8 })
    local function reshape(value, to)
      return g:add_node { op_type = "Reshape", inputs = { value, g:add_constant(nil, core.tensor_from(to, "int64")) } }
    end
    local rows = reshape(x, { -1, 8 })
    local back = reshape(rows, { -1, 4, 8 })
    g:add_output(back)
    assert(g:infer_shapes())
    assert.same({ { false, 8 }, { "N", 4, 8 } }, { rows:output(1).shape, back:output(1).shape })
  end)

  it("keeps what is claimed of values behind nodes that are not known", function()
    local g = core.graph { name = "claims", opset = 13 }
    local odd = g:add_node { op_type = "Odd", domain = "com.example", inputs = { g:add_input("x", "float32", { 2 }) } }
    local y = g:add_node { op_type = "Relu", inputs = { odd } }:output(1)
    g:add_output(y)
    y:set_dtype "float32"
    assert(y:set_shape { "N", 3 })
    assert(g:infer_shapes())
    assert.same({ "float32", { "N", 3 } }, { y.dtype, y.shape })
    assert(g.inputs[1]:set_shape { 5 })
    assert(g:infer_shapes())
    assert.same({ "float32", 2, false }, { y.dtype, #y.shape, y.shape[2] })
  end)

  it("names what is wrong with its nodes", function()
    local g, conv = small()
    conv:set_attr("strides", 2)
    local ok, message, code = g:check()
    assert.same({ nil, "format" }, { ok, code })
    assert.matches("Conv 'conv1': attribute 'strides' is an integer, expected a list of integers", message)
    g:add_node { op_type = "Frobnicate", domain = "com.example", inputs = { conv } }
    ok, message, code = g:check()
    assert.same({ nil, "unsupported" }, { ok, code })
    assert.matches("Frobnicate.*com%.example", message)
  end)
end)

describe("the iterator over nodes", function()
  local function chain(n)
    local g = core.graph {}
    local last = g:add_input("x", "float32", { 4 })
    for i = 1, n do last = g:add_node { op_type = "Relu", name = "r" .. i, inputs = { last } } end
    g:add_output(last)
    return g
  end

  it("goes in order", function()
    local names = {}
    for node in chain(4):nodes() do names[#names + 1] = node.name end
    assert.same({ "r1", "r2", "r3", "r4" }, names)
    for _ in core.graph():nodes() do error "no node expected" end
  end)

  it("survives the removal of the node it stands on, and of those after it", function()
    local g, seen = chain(6), {}
    for node in g:nodes() do
      seen[#seen + 1] = node.name
      if node.name == "r2" or node.name == "r3" then
        local input = node:input(1)
        assert.is_true(g:replace(node, input))
        assert.is_true(node:remove())
      elseif node.name == "r4" then
        local last = g:node "r6"
        assert.is_true(g:replace(g:node "r5", g:node "r4"))
        assert.is_true(g:node "r5":remove())
        assert.is_true(g:replace(last, g:node "r4"))
        assert.is_true(last:remove())
        node:set_input(1, g:node "r1")
      end
    end
    assert.same({ "r1", "r2", "r3", "r4" }, seen)
    assert.equal(2, #g)
    assert.is_true(g:verify())
  end)
end)

describe("the operator rows", function()
  it("are tables, made once", function()
    local row = core.op "Conv"
    assert.same({ "Conv", "", true, 1, 2 }, { row.name, row.domain, row.f32, row.weight, row.bias })
    assert.is_true(row.v1.arithmetic)
    assert.is_true(rawequal(row, core.op("Conv", "")))
    local attrs = {}
    for _, attr in ipairs(row.attrs) do attrs[attr.name] = attr end
    assert.same({ name = "group", kind = "int", required = false, default = 1 }, attrs.group)
    assert.same({ name = "kernel_shape", kind = "ints", required = false }, attrs.kernel_shape)
    assert.is_nil(core.op "Nonsense")
    assert.is_nil(core.op("Conv", "com.example"))
    local found = false
    for _, each in ipairs(core.ops()) do found = found or rawequal(each, row) end
    assert.is_true(found)
  end)
end)
