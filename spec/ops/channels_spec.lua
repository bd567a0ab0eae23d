--- InstanceNormalization and LRN against a plain evaluation in Lua.

local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

local function run(op, opset, inputs, attrs)
  local g = core.graph { name = "spec", opset = opset }
  local values = {}
  for i, t in ipairs(inputs) do values[i] = g:add_constant("x" .. i, t) end
  g:add_output(g:add_node { op_type = op, inputs = values, outputs = { "y" }, attrs = attrs })
  local outputs, message = core.evaluate(g, {})
  return outputs and outputs[1], message
end

-- The numbers of a tensor as images x channels x places.
local function planes(t)
  local list, n = t:reshape({ -1 }):totable(), 0
  local places = t.count // (t.shape[1] * t.shape[2])
  local result = {}
  for i = 1, t.shape[1] do
    result[i] = {}
    for c = 1, t.shape[2] do
      result[i][c] = table.move(list, n + 1, n + places, 1, {})
      n = n + places
    end
  end
  return result
end

local function near(expected, got)
  local actual = planes(got)
  for i, image in ipairs(expected) do
    for c, plane in ipairs(image) do
      for k, x in ipairs(plane) do
        assert.is_true(math.abs(x - actual[i][c][k]) < 1e-5, ("%d %d %d"):format(i, c, k))
      end
    end
  end
end

local function instance(x, scale, bias, epsilon)
  local result = planes(x)
  for _, image in ipairs(result) do
    for c, plane in ipairs(image) do
      local sum, squares = 0, 0
      for _, v in ipairs(plane) do sum = sum + v end
      for _, v in ipairs(plane) do squares = squares + (v - sum / #plane) ^ 2 end
      for k, v in ipairs(plane) do
        plane[k] = (v - sum / #plane) / (squares / #plane + epsilon) ^ 0.5 * scale[c] + bias[c]
      end
    end
  end
  return result
end

local function response(x, size, alpha, beta, bias)
  local all, result = planes(x), planes(x)
  for i, image in ipairs(all) do
    for c, plane in ipairs(image) do
      for k, v in ipairs(plane) do
        local sum = 0
        for other = math.max(1, c - (size - 1) // 2), math.min(#image, c + size // 2) do
          sum = sum + image[other][k] ^ 2
        end
        result[i][c][k] = v / (bias + alpha / size * sum) ^ beta
      end
    end
  end
  return result
end

describe("operators across and along channels", function()
  local scale, bias = { 2, -1, 0.5 }, { 0.25, 0, -1 }
  for _, shape in ipairs { { 2, 3, 4, 5 }, { 1, 3, 600 }, { 2, 3, 2, 3, 2 } } do
    it("normalize instances of rank " .. #shape, function()
      local x = harness.random(shape, 7)
      for epsilon, opset in pairs { [1e-5] = 6, [0.5] = 22 } do
        near(instance(x, scale, bias, epsilon), assert(run("InstanceNormalization", opset,
          { x, core.tensor_from(scale, "float32"), core.tensor_from(bias, "float32") }, { epsilon = epsilon })))
      end
    end)
  end

  for _, size in ipairs { 1, 2, 3, 5, 1000 } do
    it("divide by the response of " .. size .. " channels", function()
      local x = harness.random({ 2, 6, 2, 3 }, 9)
      near(response(x, size, 0.5, 0.75, 2), assert(run("LRN", 13, { x }, { size = size, alpha = 0.5, bias = 2.0 })))
    end)
  end

  it("name what does not fit", function()
    local x, s = harness.random({ 2, 3, 4 }, 1), core.tensor { 3 }
    for _, case in ipairs {
      { "bias 'x3' has shape 2, expected one number for each of 3 channels", "InstanceNormalization",
        { x, s, core.tensor { 2 } } },
      { "rank 2, expected 3 or more", "InstanceNormalization", { core.tensor { 2, 3 }, s, s } },
      { "size is 0, expected at least 1", "LRN", { x }, { size = 0 } },
      { "rank 2, expected 3 or more", "LRN", { core.tensor { 2, 3 } }, { size = 1 } },
    } do
      local y, message = run(case[2], 13, case[3], case[4])
      assert.is_nil(y)
      assert.matches(case[1], message, 1, true)
    end
  end)

  it("leave empty tensors empty", function()
    assert.same({ 0, 3, 4 }, run("LRN", 13, { core.tensor { 0, 3, 4 } }, { size = 3 }).shape)
    assert.same({ 2, 3, 0 }, run("InstanceNormalization", 13, { core.tensor { 2, 3, 0 }, core.tensor { 3 },
      core.tensor { 3 } }).shape)
  end)
end)
