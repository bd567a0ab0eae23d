--- Conv, ConvTranspose and the pools of one to three axes against their definitions.

local core = require "espquant.core"
local naive = require "spec.support.naive_window"

local seed = 1
local function numbers(n)
  local list = {}
  for i = 1, n do
    seed = (seed * 1103515245 + 12345) % 2 ^ 31
    list[i] = seed // 65536 % 17 - 8
  end
  return list
end

local function product(list)
  local n = 1
  for _, v in ipairs(list) do n = n * v end
  return n
end

local function concat(...)
  local all = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #all + 1, all) end
  return all
end

local function node(op, opset, inputs, attrs, outputs)
  local g = core.graph { name = "spec", opset = opset }
  local values = {}
  for i, t in ipairs(inputs) do values[i] = g:add_constant("x" .. i, t) end
  local made = g:add_node { op_type = op, inputs = values, outputs = outputs or { "y" }, attrs = attrs }
  for _, v in ipairs(made.outputs) do g:add_output(v) end
  return core.evaluate(g, {})
end

local function tensor(list, shape, dtype) return core.tensor_from(list, dtype or "float32"):reshape(shape) end

local function same(expected, tensor_, tolerance)
  local got = tensor_:reshape({ -1 }):totable()
  assert.equal(#expected, #got)
  for i, x in ipairs(expected) do
    assert.is_true(math.abs(x - got[i]) <= (tolerance or 1e-4) * (1 + math.abs(x)),
      ("element %d is %s, expected %s"):format(i - 1, got[i], x))
  end
end

local function ones(n)
  local list = {}
  for i = 1, n do list[i] = 1 end
  return list
end

-- in_shape, kernel, stride, dilation, pads (begin, then end), out_shape, n, ic, oc, group, extra attributes
local convs = {
  { { 9 }, { 3 }, { 2 }, { 2 }, { 1, 2 }, { 4 }, 2, 4, 6, 2 },
  { { 7, 8 }, { 3, 2 }, { 1, 2 }, { 1, 3 }, { 2, 0, 1, 1 }, { 8, 3 }, 1, 3, 5, 1 },
  { { 5, 6, 4 }, { 3, 2, 2 }, { 2, 1, 1 }, { 1, 2, 1 }, { 1, 0, 1, 1, 1, 0 }, { 3, 5, 4 }, 2, 4, 2, 2 },
  { { 4, 5, 6 }, { 2, 3, 3 }, { 1, 2, 2 }, { 1, 1, 1 }, { 0, 1, 0, 1, 1, 1 }, { 4, 3, 3 }, 1, 3, 3, 3,
    { auto_pad = "SAME_UPPER" } },
  { { 4, 5, 6 }, { 2, 3, 3 }, { 1, 2, 2 }, { 1, 1, 1 }, { 1, 1, 1, 0, 1, 0 }, { 4, 3, 3 }, 1, 2, 3, 1,
    { auto_pad = "SAME_LOWER" } },
}

-- as above; pads are those of the definition
local deconvs = {
  { { 5 }, { 3 }, { 2 }, { 2 }, { 1, 1 }, { 12 }, 2, 4, 6, 2, { pads = { 1, 1 }, output_padding = { 1 } } },
  { { 3, 4 }, { 3, 2 }, { 3, 1 }, { 1, 2 }, { 1, 0, 0, 1 }, { 8, 5 }, 1, 3, 5, 1, { pads = { 1, 0, 0, 1 } } },
  { { 2, 3, 4 }, { 3, 2, 2 }, { 1, 2, 2 }, { 2, 1, 1 }, { 0, 0, 0, 0, 0, 0 }, { 6, 6, 8 }, 2, 4, 4, 4, {} },
  { { 3, 4 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0, 0, 0 }, { 6, 8 }, 1, 2, 3, 1, { auto_pad = "SAME_UPPER" } },
  { { 3, 4 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1, 0, 0 }, { 6, 8 }, 1, 2, 3, 1, { auto_pad = "SAME_LOWER" } },
  { { 3, 4 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0, 0, 0 }, { 10, 8 }, 1, 2, 3, 1,
    { auto_pad = "SAME_UPPER", output_shape = { 10, 8 } } },
  { { 3 }, { 3 }, { 4 }, { 1 }, { 1, 0 }, { 10 }, 1, 2, 3, 1, { output_shape = { 1, 3, 10 } } },
}

local function options(c)
  return { in_shape = c[1], kernel = c[2], stride = c[3], dilation = c[4], pads = c[5], out_shape = c[6], n = c[7],
    ic = c[8], oc = c[9], group = c[10] }
end

describe("windows:", function()
  for k, c in ipairs(convs) do
    it("Conv " .. k, function()
      local o = options(c)
      local x = numbers(o.n * o.ic * product(o.in_shape))
      local w, b = numbers(o.oc * o.ic // o.group * product(o.kernel)), numbers(o.oc)
      local attrs = { strides = o.stride, dilations = o.dilation, group = o.group }
      attrs.auto_pad = c[11] and c[11].auto_pad
      if not c[11] then attrs.pads = o.pads end
      local y = assert(node("Conv", 11, { tensor(x, concat({ o.n, o.ic }, o.in_shape)),
        tensor(w, concat({ o.oc, o.ic // o.group }, o.kernel)), tensor(b, { o.oc }) }, attrs))[1]
      assert.same(concat({ o.n, o.oc }, o.out_shape), y.shape)
      same(naive.conv(o, x, w, b), y)
    end)
  end

  for k, c in ipairs(deconvs) do
    it("ConvTranspose " .. k, function()
      local o = options(c)
      local x = numbers(o.n * o.ic * product(o.in_shape))
      local w, b = numbers(o.ic * o.oc // o.group * product(o.kernel)), numbers(o.oc)
      local attrs = { strides = o.stride, dilations = o.dilation, group = o.group }
      for name, value in pairs(c[11]) do attrs[name] = value end
      local y = assert(node("ConvTranspose", 11, { tensor(x, concat({ o.n, o.ic }, o.in_shape)),
        tensor(w, concat({ o.ic, o.oc // o.group }, o.kernel)), tensor(b, { o.oc }) }, attrs))[1]
      assert.same(concat({ o.n, o.oc }, o.out_shape), y.shape)
      same(naive.deconv(o, x, w, b), y)
    end)
  end

  -- in_shape, kernel, stride, dilation, pads, out_shape, dtype, more
  local pools = {
    { { 9 }, { 3 }, { 2 }, { 2 }, { 1, 1 }, { 4 }, "float64", {} },
    { { 6, 7 }, { 3, 2 }, { 2, 1 }, { 1, 2 }, { 1, 0, 0, 1 }, { 3, 6 }, "uint8", { storage_order = 1 } },
    { { 6, 7 }, { 2, 2 }, { 2, 2 }, { 1, 1 }, { 0, 0, 0, 0 }, { 3, 4 }, "int8", { ceil_mode = 1 } },
    { { 4, 5, 6 }, { 3, 2, 2 }, { 1, 2, 2 }, { 1, 2, 3 }, { 1, 0, 1, 1, 0, 1 }, { 4, 2, 3 }, "float32",
      { storage_order = 1 } },
    { { 4, 5, 6 }, { 2, 2, 3 }, { 2, 2, 2 }, { 1, 1, 1 }, { 0, 1, 1, 0, 0, 1 }, { 2, 3, 4 }, "float16",
      { ceil_mode = 1 } },
  }
  for k, c in ipairs(pools) do
    local function case(op)
      local o = options(c)
      o.planes, o.column_major = 6, c[8].storage_order == 1
      local x = numbers(6 * product(o.in_shape))
      if c[7] == "uint8" then for i, v in ipairs(x) do x[i] = v + 8 end end
      local attrs = { kernel_shape = o.kernel, strides = o.stride, pads = o.pads, dilations = o.dilation }
      attrs.ceil_mode = c[8].ceil_mode
      if op == "MaxPool" then attrs.storage_order = c[8].storage_order end
      return o, x, attrs, tensor(x, concat({ 2, 3 }, o.in_shape), c[7])
    end
    it("MaxPool " .. k, function()
      local o, x, attrs, t = case "MaxPool"
      local y = assert(node("MaxPool", 12, { t }, attrs, { "y", "indices" }))
      local values, indices = naive.pool(o, x)
      assert.same({ concat({ 2, 3 }, o.out_shape), c[7], "int64" }, { y[1].shape, y[1].dtype, y[2].dtype })
      same(values, y[1]:astype "float64")
      same(indices, y[2])
    end)
    if c[7]:match "float" then
      for _, include in ipairs { 0, 1 } do
        it(("AveragePool of opset 19, %d, count_include_pad %d"):format(k, include), function()
          local o, x, attrs, t = case "AveragePool"
          o.average, o.count_include_pad, attrs.count_include_pad = true, include == 1, include
          local y = assert(node("AveragePool", 19, { t }, attrs))[1]
          same(naive.pool(o, x), y:astype "float64", c[7] == "float16" and 2e-3)
        end)
      end
    end
  end

  it("global pools of any rank and type", function()
    for _, dtype in ipairs { "float32", "float64", "float16" } do
      for _, shape in ipairs { { 2, 3 }, { 2, 3, 4 }, { 2, 3, 2, 2 }, { 2, 3, 2, 2, 2 }, { 2, 3, 2, 2, 2, 2 } } do
        local x, pixels = numbers(product(shape)), product(shape) // 6
        local maxima, means = {}, {}
        for c = 0, 5 do
          local list = table.move(x, c * pixels + 1, (c + 1) * pixels, 1, {})
          local sum = 0
          for _, v in ipairs(list) do sum = sum + v end
          maxima[c + 1], means[c + 1] = math.max(table.unpack(list)), sum / pixels
        end
        same(maxima, assert(node("GlobalMaxPool", 11, { tensor(x, shape, dtype) }))[1]:astype "float64")
        same(means, assert(node("GlobalAveragePool", 11, { tensor(x, shape, dtype) }))[1]:astype "float64", 2e-3)
      end
    end
  end)

  it("a ConvTranspose's hostile numbers are named", function()
    local x, w = tensor(ones(18), { 1, 2, 3, 3 }), tensor(ones(18), { 2, 1, 3, 3 })
    for attr, value in pairs {
      strides = { 0, 1 }, dilations = { math.mininteger, 1 }, pads = { -1, 0, 0, 0 }, output_padding = { -1, 0 },
      output_shape = { math.maxinteger, 1 }, kernel_shape = { 2, 3 }, group = math.mininteger, auto_pad = "SAME",
    } do
      local y, message, code = node("ConvTranspose", 11, { x, w }, { [attr] = value })
      assert.is_nil(y, attr)
      assert.equal("format", code)
      assert.matches("ConvTranspose", message)
    end
    local y, _, code = node("ConvTranspose", 11, { x, w }, { pads = { 9, 9, 9, 9 } })
    assert.same({ nil, "format" }, { y, code })
    y, _, code = node("ConvTranspose", 11, { x, w }, { strides = { 1 << 29, 1 << 29 } })
    assert.is_nil(y)
    assert.is_true(code == "format" or code == "limit", code)
  end)
end)
