--- Files of opset 6: functions of two tensors that broadcast by attributes become those of opset 7.

local core = require "espquant.core"
local run = require "spec.support.run"
local upgrade = require "espquant.upgrade"

-- A graph of one node on inputs of these shapes; `constant` makes the second operand a constant.
local function graph(op, a, b, attrs, constant)
  local g = core.graph { name = "spec", opset = 6 }
  local x = g:add_input("x", "float32", a)
  local y = constant and g:add_constant("b", run.numbers(b, 3)) or g:add_input("b", "float32", b)
  g:add_output(g:add_node { op_type = op, name = "n", inputs = { x, y }, outputs = { "y" }, attrs = attrs })
  return g
end

-- x[n][c][h] op b[c], naively.
local function expected(op, x, b)
  local list = {}
  for n, images in ipairs(x:totable()) do
    list[n] = {}
    for c, row in ipairs(images) do
      list[n][c] = {}
      for i, v in ipairs(row) do list[n][c][i] = op(v, b:totable()[c]) end
    end
  end
  return core.tensor_from(list, "float32")
end

describe("upgrading opset 6", function()
  local x, b = run.numbers({ 2, 3, 3 }, 1), run.numbers({ 3 }, 3)

  for _, constant in ipairs { true, false } do
    local kind = constant and "a constant" or "a computed tensor"
    it("places " .. kind .. " at its axis", function()
      local g = graph("Add", { "N", 3, 3 }, { 3 }, { broadcast = 1, axis = 1 }, constant)
      assert.is_true(upgrade.upgrade(g))
      assert.equal(7, g.opset)
      assert.is_true(g:check())
      assert.is_false(g:node "n":has_attr "axis" or g:node "n":has_attr "broadcast")
      local got = core.evaluate(g, constant and x or { x, b })[1]
      run.assert_equal(expected(function(p, q) return p + q end, x, b), got)
    end)
  end

  it("leaves operands that end together, and those of equal shape", function()
    for _, attrs in ipairs { { broadcast = 1 }, { broadcast = 1, axis = -1 }, { broadcast = 0 }, {} } do
      local g = graph("Mul", { 2, 3 }, attrs.broadcast == 1 and { 3 } or { 2, 3 }, attrs)
      assert.is_true(upgrade.upgrade(g))
      assert.equal(1, #g)
    end
  end)

  it("gives a PRelu one slope per channel", function()
    local g = graph("PRelu", { 2, 3, 3 }, { 3 }, {}, true)
    assert.is_true(upgrade.upgrade(g))
    local got = core.evaluate(g, x)[1]
    run.assert_equal(expected(function(p, q) return p < 0 and string.unpack("f", string.pack("f", p * q)) or p end, x,
      b), got)
  end)

  it("drops what marks inference", function()
    local g = core.graph { name = "spec", opset = 6 }
    local input = g:add_input("x", "float32", { 2, 3 })
    g:add_output(g:add_node { op_type = "Dropout", name = "n", inputs = { input }, outputs = { "y" },
      attrs = { is_test = 1 } })
    assert.is_true(upgrade.upgrade(g))
    assert.same({}, g:node "n":attrs())
  end)

  it("names an axis that does not fit", function()
    for _, axis in ipairs { 3, 99, -7, math.maxinteger, math.mininteger } do
      local ok, message, code = upgrade.upgrade(graph("Add", { 2, 3, 3 }, { 3 }, { broadcast = 1, axis = axis }))
      assert.same({ nil, "format" }, { ok, code })
      assert.matches("Add 'n': its second operand cannot be placed at axis " .. axis, message, 1, true)
    end
  end)

  it("refuses an axis that is no number, and operands that are not there", function()
    local ok, message, code = upgrade.upgrade(graph("Add", { 2, 3 }, { 3 }, { broadcast = 1, axis = 1.5 }))
    assert.same({ nil, "Add 'n': attribute 'axis' is no integer", "format" }, { ok, message, code })
    local function without_first(op, attrs)
      local g = core.graph { name = "spec", opset = 6 }
      g:add_output(g:add_node { op_type = op, name = "n", inputs = { false, g:add_input("b", "float32", { 3 }) },
        outputs = { "y" }, attrs = attrs })
      return g
    end
    ok, message, code = upgrade.upgrade(without_first("Add", { broadcast = 1, axis = 0 }))
    assert.same({ nil, "format" }, { ok, code })
    assert.matches("cannot be placed at axis 0", message)
    assert.is_true(upgrade.upgrade(without_first "PRelu")) -- whoever infers shapes says what is missing
  end)

  it("needs no shapes where both operands end together", function()
    local g = core.graph { name = "spec", opset = 6 }
    local input = g:add_input("x", "float32", { 2, 3 })
    local strange = g:add_node { op_type = "Strange", inputs = { input }, outputs = { "b" } }:output(1)
    g:add_output(g:add_node { op_type = "Add", inputs = { input, strange }, outputs = { "y" },
      attrs = { broadcast = 1 } })
    assert.is_true(upgrade.upgrade(g))
  end)

  it("leaves other opsets alone", function()
    local g = graph("Add", { 2, 3 }, { 3 }, {})
    g.opset = 13
    assert.is_true(upgrade.upgrade(g))
    assert.equal(13, g.opset)
  end)
end)
