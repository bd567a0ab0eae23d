--- Nodes and values as Lua sees them: ports, attributes, users, shapes, exponents.

local core = require "espquant.core"
local small = require "spec.support.small_graph"

local function labels(list)
  local out = {}
  for i, node in ipairs(list) do out[i] = node.op_type end
  return table.concat(out, " ")
end

describe("a node", function()
  it("has attributes of every kind, and its operator's defaults", function()
    local _, conv = small()
    local t = core.tensor_from { 1, 2 }
    conv:set_attr("i", 3)
    conv:set_attr("f", 0.1)
    conv:set_attr("whole", 2, "float")
    conv:set_attr("s", "te\0xt")
    conv:set_attr("is", { 1, 2 })
    conv:set_attr("fs", { 1, 2.5 })
    conv:set_attr("none", {})
    conv:set_attr("ss", { "a", "b" })
    conv:set_attr("t", t)
    assert.same({ 3, 2.0, "te\0xt" }, { conv:attr "i", conv:attr "whole", conv:attr "s" })
    assert.equal("float", math.type(conv:attr "whole"))
    assert.equal(string.unpack("<f", string.pack("<f", 0.1)), conv:attr "f")
    assert.same({ { 1, 2 }, { 1, 2.5 }, {}, { "a", "b" } },
      { conv:attr "is", conv:attr "fs", conv:attr "none", conv:attr "ss" })
    assert.is_true(conv:attr "t":equal(t))
    assert.same({ 1, "NOTSET" }, { conv:attr "group", conv:attr "auto_pad" })
    assert.same({ 7, nil }, { conv:attr("missing", 7), conv:attr "missing" })
    assert.same({ 2, false }, { conv:attr("group", 2), conv:has_attr "group" })
    assert.is_true(conv:has_attr "t")
    conv:set_attr("t", nil)
    assert.is_false(conv:has_attr "t")
    assert.same({ 3, 3 }, conv:attrs().kernel_shape)
  end)

  it("refuses attributes of mixed or unknown kinds", function()
    local _, conv = small()
    for _, value in ipairs { { 1, "x" }, { "a", 2 }, { {} }, { 1, 2.5, {} }, print, true } do
      assert.error_matches(function() conv:set_attr("a", value) end, "attribute 'a': .- expected, got")
    end
    assert.error_matches(function() conv:set_attr("a", 1.5, "int") end, "integer expected")
    assert.error_matches(function() conv:set_attr("a", 1, "decimal") end, "invalid option 'decimal'")
    assert.error_matches(function() conv:set_attr("a", "x", "tensor") end, "tensor expected")
    assert.is_false(conv:has_attr "a")
  end)

  it("has inputs and outputs, absent ones too", function()
    local g, conv, relu, x, w = small()
    assert.same({ x, w }, conv.inputs)
    assert.same({ x, nil, nil }, { conv:input(1), conv:input(3), conv:input(1 << 40) })
    local bias = g:add_constant("b", core.tensor { 4 })
    assert.is_true(conv:set_input(4, bias))
    assert.same({ x, w, false, bias }, conv.inputs)
    assert.is_true(conv:set_inputs { x, w, bias })
    assert.same({ x, w, bias }, conv.inputs)
    assert.is_true(conv:set_input(3, false))
    assert.is_nil(conv:input(3))
    assert.equal(0, bias:use_count())
    assert.same({ relu:output(1) }, relu.outputs)
    local node = g:add_node { op_type = "Dropout", inputs = { x }, outputs = { "d", false } }
    assert.same({ g:value "d", false }, node.outputs)
    assert.equal(3, #g:add_node({ op_type = "Split", inputs = { x }, outputs = 3 }).outputs)
    assert.is_true(g:verify())
  end)

  it("is not removed while its result is in use", function()
    local g, conv = small()
    local ok, message, code = conv:remove()
    assert.same({ nil, "bug" }, { ok, code })
    assert.matches("conv1.*in use", message)
    assert.is_nil((g:remove_node(conv)))
    assert.is_true(conv.alive)
  end)

  it("has a column and a name that can be set", function()
    local _, conv = small()
    assert.equal("f32", conv.column)
    conv.column, conv.name = "q", "other"
    assert.same({ "q", "other" }, { conv.column, conv.name })
    assert.error_matches(function() conv.column = "q4" end, "invalid option 'q4'")
  end)

  it("keeps the order of its attributes from run to run", function()
    local order = {}
    for run = 1, 3 do
      local g = core.graph()
      g:add_node { op_type = "X", attrs = { b = 1, a = 2, d = 3, c = 4, zeta = 5, alpha = 6 } }
      order[run] = tostring(g):match "{.*}"
    end
    assert.same({ order[1], order[1], "{a=2, alpha=6, b=1, c=4, d=3, zeta=5}" }, order)
  end)
end)

describe("a value", function()
  it("tells where it comes from and who reads it", function()
    local g, conv, relu, x, w = small()
    local out = conv:output(1)
    assert.same({ conv, 1 }, { out.producer, out.slot })
    assert.same({ nil, nil }, { x.producer, x.slot })
    assert.same({ true, false, false, true },
      { x.is_input, x.is_output, out.is_input, relu:output(1).is_output })
    assert.same({ relu }, out:users())
    assert.same({ 1, 1, 1 }, { out:use_count(), w:use_count(), relu:output(1):use_count() })
    g:add_node { op_type = "Add", inputs = { out, out }, before = relu }
    assert.equal("Add Relu", labels(out:users()))
    assert.equal(3, out:use_count())
    assert.is_nil(out.constant)
    assert.same({ 4, 3, 3, 3 }, w.constant.shape)
  end)

  it("lists its users in the graph's order, whatever the order of connection", function()
    local g = core.graph()
    local x = g:add_input("x", "float32", { 1 })
    local first = g:add_node { op_type = "Relu", name = "n0", inputs = { x } }
    local nodes = {}
    for i = 1, 5 do nodes[i] = g:add_node { op_type = "Relu", name = "n" .. i, inputs = { first } } end
    for _, i in ipairs { 4, 2, 5, 1, 3 } do nodes[i]:set_input(1, x) end
    local names = {}
    for i, node in ipairs(x:users()) do names[i] = node.name end
    assert.same({ "n0", "n1", "n2", "n3", "n4", "n5" }, names)
  end)

  it("has a shape with names and holes", function()
    local g = core.graph()
    local v = g:add_input("v", "int8", { "batch", false, 3 })
    assert.same({ "batch", false, 3 }, v.shape)
    assert.is_true(v:set_shape {})
    assert.same({}, v.shape)
    assert.is_true(v:set_shape(nil))
    assert.is_nil(v.shape)
    v:set_dtype "uint8"
    assert.equal("uint8", v.dtype)
    v:set_dtype(nil)
    assert.is_nil(v.dtype)
    for _, shape in ipairs { { -1 }, { 1.5 }, { true }, { {} }, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, { "a\0b" } } do
      assert.is_false(pcall(v.set_shape, v, shape))
    end
    assert.error_matches(function() g:add_constant("c", core.tensor { 1 }):set_shape { 2 } end, "of its tensor")
  end)

  it("has exponents", function()
    local _, conv = small()
    local v = conv:output(1)
    assert.is_nil(v.quant)
    assert.is_true(v:set_quant(8, { -7, 3, -math.huge, math.huge }))
    assert.same({ bits = 8, exponents = { -7, 3, -math.huge, math.huge } }, v.quant)
    assert.is_true(v:set_quant(16, -4))
    assert.same({ bits = 16, exponents = { -4 } }, v.quant)
    assert.is_true(v:set_quant(nil))
    assert.is_nil(v.quant)
    for _, call in ipairs { { 7, { 1 } }, { 8, {} }, { 8, { 1.5 } }, { 8, { "1" } }, { 8 }, { 8, { 1 << 40 } } } do
      assert.is_false(pcall(v.set_quant, v, call[1], call[2]))
    end
  end)

  it("is renamed", function()
    local g, conv = small()
    local v = conv:output(1)
    assert.is_true(v:rename "other")
    assert.equal(v, g:value "other")
    assert.is_nil(g:value "conv1_out")
    assert.is_true(g:verify())
  end)
end)
