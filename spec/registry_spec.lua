-- Every row of the operator table is complete: it is tested, its facts fit together, refusals have a reason.
local core = require "espquant.core"
local v1 = require "espquant.quant.v1"
local backend = require "spec.support.onnx_backend"
local exceptions = require "spec.support.onnx_exceptions"

local function read_all(pattern)
  local pipe = assert(io.popen("cat " .. pattern))
  local text = pipe:read "a"
  pipe:close()
  return text
end

describe("the operator table #unit", function()
  local tests = read_all "spec/c/ops/test_*.c spec/ops/*_spec.lua"

  -- The operators of ONNX's own tests that pass.
  local function tested_by_onnx()
    local set = {}
    for _, case in ipairs(backend.cases "node") do
      local operators = exceptions["node/" .. case.name] and {} or backend.operators(case)
      for name in pairs(operators) do set[name] = true end
    end
    return set
  end

  it("has tests for every operator", function()
    local onnx = tested_by_onnx()
    for _, op in ipairs(core.ops()) do
      local named = tests:find('"' .. op.name .. '"', 1, true)
      assert.is_truthy(named or onnx[op.name], op.name .. " occurs in no test of spec/c/ops, spec/ops or ONNX")
    end
  end)

  it("has a float form of every operator, and an integer form of whatever the chip takes", function()
    for _, op in ipairs(core.ops()) do
      if op.domain ~= "esp" then assert.is_true(op.f32, op.name) end
      -- LeakyRelu runs as PRelu with one slope
      if op.v1.chip and op.name ~= "LeakyRelu" then assert.is_true(op.q, op.name) end
    end
  end)

  it("has one role in calibration for whatever can be quantized", function()
    for _, op in ipairs(core.ops()) do
      local roles = (op.v1.arithmetic and 1 or 0) + (op.v1.activation and 1 or 0) + (op.v1.shares and 1 or 0)
      if op.v1.chip and op.name ~= "MatMul" then assert.equal(1, roles, op.name) end
      if op.v1.calibrator then assert.equal(1, roles, op.name) end
    end
  end)

  it("says which operators align operands of different scales, and which keep one scale", function()
    local aligning, keeping = {}, {}
    for _, op in ipairs(core.ops()) do
      local g = core.graph {}
      local node = g:add_node { op_type = op.name, domain = op.domain, inputs = { g:add_input("x", "float32", { 1 }) },
        outputs = 1 }
      if op.v1.aligns then aligning[#aligning + 1] = op.name end
      if v1.one_scale(node) then keeping[#keeping + 1] = op.name end
    end
    table.sort(keeping)
    assert.equal("Add Sub Mul Max Min", table.concat(aligning, " "))
    assert.equal("Concat Dropout Expand Flatten GlobalMaxPool Identity LeakyRelu MaxPool PRelu Pad Relu Reshape Slice "
      .. "Squeeze Transpose Unsqueeze", table.concat(keeping, " "))
  end)

  it("marks what no chip was measured for, as docs/original.md does with (*)", function()
    local text, told = read_all "docs/original.md", {}
    for row in text:gmatch "\n|([^\n]*%(%*%)[^\n]*)" do
      for name in row:match "^[^|]*":gmatch "%a+" do told[name] = true end
    end
    for name in text:match "The same is%s+true of(.-), which":gmatch "%u%a+" do told[name] = true end
    local marked, n = {}, 0
    for _, op in ipairs(core.ops()) do
      if op.v1.unmeasured then
        assert.is_true(op.v1.chip, op.name)
        marked[op.name], n = true, n + 1
      end
    end
    assert.equal(12, n)
    assert.same(told, marked)
  end)

  it("has defaults of the kind of their attribute", function()
    local types = { int = "integer", float = "float" }
    for _, op in ipairs(core.ops()) do
      for _, attr in ipairs(op.attrs) do
        if types[attr.kind] and attr.default ~= nil then
          assert.equal(types[attr.kind], math.type(attr.default), op.name .. "." .. attr.name)
        end
      end
    end
  end)

  it("gives a reason for every operator that has no integer form", function()
    for _, op in ipairs(core.ops()) do
      if not op.v1.chip then
        local g = core.graph {}
        local inputs = {}
        local least = ({ BatchNormalization = 5, Div = 2 })[op.name] or 1
        for i = 1, least do inputs[i] = g:add_input("x" .. i, "float32", { 1, 2, 3, 3 }) end
        local node = g:add_node { op_type = op.name, inputs = inputs, outputs = 1 }
        local why = node:why_not()
        assert.is_string(why, op.name)
        assert.is_true(#why > 20, op.name)
        assert.matches("%w; %w", why, op.name) -- cause; remedy
      end
    end
  end)
end)
