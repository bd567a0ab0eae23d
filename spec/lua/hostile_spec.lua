--- Handles that outlive what they stand for, and whatever else a script can do to a graph: it raises, nothing crashes.

local core = require "espquant.core"
local small = require "spec.support.small_graph"

describe("handles", function()
  it("are equal for the same thing and work as keys", function()
    local g, conv, _, x = small()
    local seen = { [conv] = true, [x] = true }
    assert.is_true(seen[g:node "conv1"] and seen[g.inputs[1]])
    collectgarbage()
    assert.is_true(seen[g:node "conv1"])
    assert.is_false(conv == g:node_list()[2])
  end)

  it("keep their graph alive", function()
    local _, conv = small()
    collectgarbage()
    collectgarbage()
    assert.equal("w", conv:input(2).name)
    local values = {}
    do
      local h = small()
      for _, v in ipairs(h:values()) do values[#values + 1] = v end
    end
    collectgarbage()
    assert.equal("x", values[1].name)
  end)

  it("of removed things raise, whatever is asked", function()
    local g, conv, relu = small()
    local y = relu:output(1)
    g:replace(relu, conv)
    g:prune()
    assert.same({ false, false, "node (removed)", "value (removed)" },
      { relu.alive, y.alive, tostring(relu), tostring(y) })
    for _, handle in ipairs { relu, y } do
      local mt = getmetatable(handle)
      for name, method in pairs(mt.__methods) do assert.is_false(pcall(method, handle, "x", 1), name) end
      for name in pairs(mt.__fields) do
        if name ~= "alive" then assert.is_false(pcall(function() return handle[name] end), name) end
      end
    end
    assert.error_matches(function() g:add_output(y) end, "removed from its graph")
    assert.error_matches(function() conv:set_input(1, relu) end, "removed from its graph")
    assert.error_matches(function() conv:move_before(relu) end, "removed from its graph")
  end)

  it("of a closed graph raise, whatever is asked", function()
    local g, conv, _, x = small()
    local step, state = g:nodes()
    local w = g:value "w".constant
    g:close()
    g:close()
    assert.equal("graph (closed)", tostring(g))
    assert.same({ false, false }, { conv.alive, x.alive })
    assert.same({ 4, 3, 3, 3 }, w.shape)
    for _, object in ipairs { g, conv, x } do
      local mt = getmetatable(object)
      for name, method in pairs(mt.__methods) do
        if name ~= "close" then assert.is_false(pcall(method, object, "x", 1), name) end
      end
      for name in pairs(mt.__fields) do
        if name ~= "alive" then assert.is_false(pcall(function() return object[name] end), name) end
      end
    end
    assert.error_matches(function() step(state) end, "closed")
    assert.error_matches(function() return #g end, "closed")
  end)

  it("of another graph are refused", function()
    local g, conv = small()
    local h, _, relu = small()
    for _, call in ipairs {
      function() g:add_output(h:value "x") end,
      function() g:add_node { op_type = "Relu", inputs = { relu } } end,
      function() g:add_node { op_type = "Relu", inputs = { conv }, before = relu } end,
      function() g:add_node { op_type = "Relu", inputs = { conv }, outputs = { h:value "x" } } end,
      function() g:replace(conv, relu) end,
      function() conv:set_input(1, relu) end,
      function() conv:set_inputs { h:value "x" } end,
      function() conv:move_before(relu) end,
      function() g:nodes()(g, relu) end,
    } do
      assert.error_matches(call, "another graph")
    end
    assert.is_true(g:verify())
    assert.equal(2, #g)
  end)
end)

describe("misuse of a graph", function()
  it("raises and changes nothing", function()
    local g, conv, _, x = small()
    local before = tostring(g)
    local cases = {
      { "unknown option 'optype'", function() g:add_node { optype = "Relu" } end },
      { "string expected, got nil", function() g:add_node { inputs = { x } } end },
      { "list entry 2: value or node expected, got string",
        function() g:add_node { op_type = "A", inputs = { x, "x" } } end },
      { "list entry 1: value or node expected, got boolean",
        function() g:add_node { op_type = "A", inputs = { true } } end },
      { "%-1 outputs", function() g:add_node { op_type = "A", outputs = -1 } end },
      { "outputs", function() g:add_node { op_type = "A", outputs = 1 << 40 } end },
      { "list entry 1: value or node expected, got table",
        function() g:add_node { op_type = "A", outputs = { {} } } end },
      { "names of attributes", function() g:add_node { op_type = "A", attrs = { 1, 2 } } end },
      { "attribute 'a'", function() g:add_node { op_type = "A", attrs = { a = print } } end },
      { "table expected", function() g:add_node { op_type = "A", attrs = 5 } end },
      { "without zero bytes", function() g:add_node { op_type = "A\0B" } end },
      { "without zero bytes", function() g:add_input("a\0b", "float32", { 1 }) end },
      { "invalid option 'float'", function() g:add_input("z", "float", { 1 }) end },
      { "tensor expected, got no value", function() g:add_constant("z") end },
      { "value or node expected, got no value", function() g:add_output() end },
      { "value or node expected, got number", function() g:replace(1, 2) end },
      { "no field 'nodez'", function() return g.nodez end },
      { "field 'inputs' cannot be set", function() g.inputs = {} end },
      { "field 'size' cannot be set", function() g.size = 1 end },
      { "version number", function() g.opset = 0 end },
      { "number expected, got string", function() g.opset = "new" end },
      { "counted from 1", function() conv:input(0) end },
      { "no input of this number", function() conv:set_input(0, x) end },
      { "no input of this number", function() conv:set_input(1 << 30, x) end },
      { "entry 2", function() conv:set_inputs { x, 5 } end },
      { "espquant.node expected, got espquant.value", function() conv.attr(x, "a") end },
      { "unknown option", function() core.graph { 1 } end },
      { "version number", function() core.graph { opset = -3 } end },
      { "string expected, got table", function() core.graph { name = {} } end },
    }
    for i, case in ipairs(cases) do
      assert.error_matches(case[2], case[1], nil, nil, "case " .. i)
    end
    assert.equal(before, tostring(g))
    assert.is_true(g:verify())
  end)

  it("in finalizers cannot pull a graph away from under a running function", function()
    for round = 1, 60 do
      local g = core.graph()
      local x = g:add_input("x", "float32", { 1, 2, 3, "N" })
      local node
      for i = 1, 60 do
        node = g:add_node { op_type = "Relu", name = "n" .. i, inputs = { x }, attrs = { ss = { "a", "b", "c" } } }
      end
      do
        local _ = setmetatable({}, { __gc = function() g:close() end })
      end
      for _ = 1, round do _G.table.pack(round) end
      pcall(function()
        while true do
          local _ = { g:values(), g:node_list(), g.inputs, x:users(), node:attrs(), node:attr "ss", node.inputs,
            x.shape, tostring(x), tostring(g), g:clone() }
        end
      end)
      assert.equal("graph (closed)", tostring(g))
    end
  end)

  it("by any arguments never ends the process", function()
    local seed = 7
    local function random(n)
      seed = (seed * 6364136223846793005 + 1442695040888963407)
      return (seed >> 33) % n + 1
    end
    local codes = { io = true, format = true, unsupported = true, limit = true, memory = true, bug = true }
    local cyclic = {}
    cyclic[1], cyclic.attrs = cyclic, cyclic
    local calls = 0
    for _ = 1, 150 do
      local g, conv, relu, x, w = small()
      local closed, dead = core.tensor { 2 }, g:add_node { op_type = "Relu", inputs = { x } }
      closed:close()
      dead:remove()
      local pool = {
        false, true, 0, 1, 2, -1, 1.5, 0 / 0, math.huge, math.mininteger, math.maxinteger, 1 << 31, "", "x", "y",
        "conv1", "int8", "float32", "a\0b", ("n"):rep(5000), {}, { 1 }, { 0, 1 }, { 1, 2, 3 }, { -1, 2 }, { 1, nil, 3 },
        { "N", 2 }, { x, false }, { x, w }, { op_type = "Relu", inputs = { x } }, cyclic, print, g, conv, relu, x, w,
        { op_type = "Add", inputs = { w, x }, outputs = 2 }, w.constant, closed, dead, core.tensor { 2, 3 },
        core.tensor({ 3 }, "int64"), { w.constant }, core.tensor { 0, 3 }, core.graph(), coroutine.create(print),
      }
      for _ = 1, 40 do
        local object = pool[random(#pool)]
        local mt = type(object) == "userdata" and getmetatable(object)
        local names = {}
        for name in pairs(mt and mt.__methods or {}) do names[#names + 1] = name end
        table.sort(names)
        if #names > 0 then
          local arguments, n = {}, random(4) - 1
          for i = 1, n do arguments[i] = pool[random(#pool)] end
          local method = mt.__methods[names[random(#names)]]
          local ok, result, message, code = pcall(method, object, table.unpack(arguments, 1, n))
          calls = calls + 1
          if ok and result == nil and message ~= nil then assert.is_true(codes[code], tostring(message)) end
          if not ok then assert.equal("string", type(result)) end
        end
      end
      if tostring(g) ~= "graph (closed)" then g:verify() end
    end
    assert.is_true(calls > 1000)
  end)
end)
