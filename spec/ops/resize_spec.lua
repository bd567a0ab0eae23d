--- Resize and Upsample in forms that ONNX's own tests leave out, against a naive evaluation of one axis.

local core = require "espquant.core"

local function floats(list) return core.tensor_from(list, "float32") end

local function row(n)
  local list = {}
  for i = 1, n do list[i] = i * i % 23 end
  return list
end

local function weight(c, d)
  local a = c.attrs.cubic_coeff_a or -0.75
  if c.attrs.mode == "linear" then return math.max(0, 1 - d) end
  if d <= 1 then return (a + 2) * d ^ 3 - (a + 3) * d ^ 2 + 1 end
  return d < 2 and a * d ^ 3 - 5 * a * d ^ 2 + 8 * a * d - 4 * a or 0
end

-- Every entry of the input, and many beyond its ends, by its distance from the position.
local function naive(c, x, out, scale)
  local y, shrink = {}, c.attrs.antialias and math.min(scale, 1) or 1
  for i = 0, out - 1 do
    local at = (i + 0.5) / scale - 0.5
    if c.attrs.coordinate_transformation_mode == "half_pixel_symmetric" then
      at = at + #x / 2 * (1 - out / (#x * scale))
    end
    local sum, total = 0, 0
    for k = -20, #x + 20 do
      local w = weight(c, math.abs(k - at) * shrink)
      if c.attrs.exclude_outside and (k < 0 or k >= #x) then w = 0 end
      sum, total = sum + w * x[math.max(1, math.min(#x, k + 1))], total + w
    end
    y[i + 1] = sum / total
  end
  return y
end

local function resize(op, opset, attrs, inputs)
  local g = core.graph { name = "spec", opset = opset }
  local values = {}
  for i, t in ipairs(inputs) do values[i] = t and g:add_constant("x" .. i, t) end
  g:add_output(g:add_node { op_type = op, inputs = values, outputs = { "y" }, attrs = attrs })
  local outputs, message = core.evaluate(g, {})
  if not outputs then return nil, message end
  return outputs[1]
end

local cases = {}
for _, mode in ipairs { "linear", "cubic" } do
  for _, scale in ipairs { 0.3, 0.55, 1.6 } do
    for _, outside in ipairs { false, 1 } do
      cases[#cases + 1] = { scale = scale, attrs = { mode = mode, antialias = 1, exclude_outside = outside or nil } }
      cases[#cases + 1] = { scale = scale, attrs = { mode = mode, exclude_outside = outside or nil,
        coordinate_transformation_mode = "half_pixel_symmetric" } }
    end
  end
end
cases[#cases + 1] = { scale = 0.4, attrs = { mode = "cubic", antialias = 1, cubic_coeff_a = -0.5 } }

describe("Resize", function()
  it("weighs neighbours as ONNX says, widened by antialiasing", function()
    for i, c in ipairs(cases) do
      local x, out = row(11), math.floor(11 * c.scale)
      for _, dtype in ipairs { "float32", "float64" } do
        local inputs = { floats(x):astype(dtype), false, floats { c.scale } }
        local y = assert(resize("Resize", 19, c.attrs, inputs)):totable()
        assert.equal(out, #y)
        for k, want in ipairs(naive(c, x, out, c.scale)) do
          assert.is_true(math.abs(y[k] - want) < 1e-4, ("case %d, %d: %g, expected %g"):format(i, k, y[k], want))
        end
      end
    end
  end)

  it("resizes any axis of any type", function()
    for _, dtype in ipairs { "uint8", "int64", "float16", "bool" } do
      local x = floats({ 1, 0, 0, 1 }):astype(dtype):reshape { 2, 1, 2 }
      local y = assert(resize("Resize", 13, {}, { x, false, floats { 2, 2, 1 } }))
      assert.equal("4x2x2", table.concat(y.shape, "x"))
      local expected = floats { 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1 }:astype(dtype):totable()
      assert.same(expected, y:reshape({ -1 }):totable())
    end
    local y = resize("Resize", 13, { mode = "linear" }, { core.tensor_from({ 10, 255 }, "uint8"), false, floats { 2 } })
    assert.same({ 10, 71, 193, 255 }, y:totable())
  end)

  it("keeps the ratio", function()
    local x = floats(row(24)):reshape { 1, 1, 4, 6 }
    local sizes = core.tensor_from({ 7, 8 }, "int64")
    for policy, shape in pairs { not_larger = "1x1x5x8", not_smaller = "1x1x7x11" } do
      local attrs = { axes = { 2, 3 }, keep_aspect_ratio_policy = policy }
      assert.equal(shape, table.concat(assert(resize("Resize", 18, attrs, { x, false, false, sizes })).shape, "x"))
    end
  end)

  it("takes a part of named axes, with a value beyond", function()
    local x, size = floats(row(6)):reshape { 1, 1, 6 }, core.tensor_from({ 3 }, "int64")
    local attrs = { mode = "linear", axes = { 2 }, coordinate_transformation_mode = "tf_crop_and_resize",
      extrapolation_value = -1.0 }
    local y = resize("Resize", 18, attrs, { x, core.tensor_from({ 0.2, 1.4 }, "float64"), false, size })
    assert.same({ 4, 2, -1 }, y:reshape({ -1 }):totable())
    y = resize("Resize", 18, attrs, { x, core.tensor_from({ 0 / 0, 1 / 0 }, "float32"), false, size })
    assert.same({ -1, -1, -1 }, y:reshape({ -1 }):totable())
    local _, message = resize("Resize", 18, attrs, { x, floats { 0.2 }, false, size })
    assert.matches("roi must be a constant of 2 floats", message)
  end)

  it("keeps ratios within limits", function()
    local attrs = { keep_aspect_ratio_policy = "not_larger" }
    local _, message = resize("Resize", 18, attrs, { floats(row(600)):reshape { 2, 300 }, false, false,
      core.tensor_from({ 1, 1 }, "int64") })
    assert.matches("axis 0 would have 0 entries", message)
  end)
end)

describe("Upsample", function()
  it("has its scales in an attribute or an input", function()
    local x = floats { 1, 2 }
    local by_attribute = resize("Upsample", 7, { scales = { 2.0 } }, { x })
    assert.same({ 1, 1, 2, 2 }, by_attribute:totable())
    local by_input = resize("Upsample", 9, { mode = "linear" }, { x, floats { 2 } })
    assert.same({ 1, 1.5, 2, 2 }, by_input:totable())
    local _, message = resize("Upsample", 7, {}, { x })
    assert.matches("neither scales nor sizes", message)
    _, message = resize("Upsample", 7, { scales = { -2.0 } }, { x })
    assert.matches("scale 0 is %-2, expected a number above 0", message)
  end)
end)
