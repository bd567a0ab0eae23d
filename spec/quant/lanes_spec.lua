-- Sums on the ESP32-S3's saturating lanes: integer nodes on every instruction set against loops in plain Lua
-- (spec/support/naive_lanes.lua), and the bound that says where nothing saturates.
local core = require "espquant.core"
local naive = require "spec.support.naive_lanes"

-- A generator of our own, so that a failure comes back.
local function generator(seed)
  local state = seed
  return function(low, high)
    state = state * 6364136223846793005 + 1442695040888963407
    return low + (state >> 33) % (high - low + 1)
  end
end

local function count_of(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end

-- Weights whose sums go far up and come back, small ones whose sums stay inside, and any.
local function weights_of(random, shape, bits, kind)
  local list, most = {}, (1 << bits - 1) - 1
  local per = count_of(shape) // shape[1]
  for i = 1, count_of(shape) do
    local half = (i - 1) % per < per // 2
    list[i] = kind == "swing" and (half and most or -most) or kind == "small" and random(-3, 3) or random(-most, most)
    if kind == "mixed" and (i - 1) // per % 2 == 0 then list[i] = random(-1, 1) end
  end
  return { shape = shape, list = list }
end

local function inputs_of(random, shape, bits, kind)
  local list, most = {}, (1 << bits - 1) - 1
  local least = kind == "swing" and most - most // 16 or -most - 1
  for i = 1, count_of(shape) do list[i] = random(least, most) end
  return { shape = shape, list = list }
end

local function conv_case(random, bits, depthwise)
  local group = depthwise and random(2, 20) or random(1, 3) == 1 and random(2, 3) or 1
  local per, out = depthwise and 1 or random(1, bits == 8 and 20 or 150), depthwise and 1 or random(1, 4)
  local kh, kw = random(1, 4), random(1, 5)
  if depthwise then kh, kw = random(bits == 8 and 5 or 20, bits == 8 and 12 or 50), random(5, 30) end
  if depthwise then group = math.min(group, bits == 8 and 20 or 3) end
  local attrs = { group = group, strides = { random(1, 3), random(1, 3) }, dilations = { random(1, 2), random(1, 2) },
    pads = { random(0, 2), random(0, 2), random(0, 2), random(0, 2) } }
  local dh, dw = (kh - 1) * attrs.dilations[1] + 1, (kw - 1) * attrs.dilations[2] + 1
  local h, w = dh + random(0, 1), dw + random(0, 2)
  local oh = (h + attrs.pads[1] + attrs.pads[3] - dh) // attrs.strides[1] + 1
  local ow = (w + attrs.pads[2] + attrs.pads[4] - dw) // attrs.strides[2] + 1
  return { op = "Conv", attrs = attrs, y = { 1, group * out, oh, ow } }, { 1, group * per, h, w },
    { group * out, per, kh, kw }
end

-- What a case computes, from shapes of output, input and weight.
local SHAPES = {
  Conv = function(random, bits) return conv_case(random, bits, false) end,
  ["depthwise Conv"] = function(random, bits) return conv_case(random, bits, true) end,
  Gemm = function(random, bits)
    local m, k, n = random(1, 4), random(20, bits == 8 and 200 or 2000), random(1, 20)
    return { op = "Gemm", attrs = { transB = 1 }, y = { m, n } }, { m, k }, { n, k }
  end,
  MatMul = function(random, bits)
    local m, k, n = random(1, 4), random(20, bits == 8 and 200 or 2000), random(1, 20)
    return { op = "MatMul", attrs = {}, y = { m, n } }, { m, k }, { k, n }
  end,
  ["MatMul of stacks"] = function(random, bits)
    local s, m, k, n = random(1, 3), random(1, 3), random(20, bits == 8 and 200 or 2000), random(1, 9)
    return { op = "MatMul", attrs = {}, y = { s, m, n }, computed = random(0, 1) == 1 }, { s, m, k }, { s, k, n }
  end,
}

local function fill(c, random, kind, x, w)
  c.w, c.x = weights_of(random, w, c.bits, kind), inputs_of(random, x, c.bits, kind)
  c.e_out, c.e_w = c.bits == 8 and random(8, 12) or random(20, 26), {}
  local channels, spread = c.op == "Conv" and w[1] or c.y[#c.y], c.arithmetic == "v1-channel" and 3 or 0
  for o = 1, channels do c.e_w[o] = random(0, spread) end
  if c.op == "MatMul" or random(0, 2) == 0 then return c end
  c.bias = {}
  local reach = c.arithmetic ~= "v3-half-up" and 100 or c.bits == 8 and 400000 or 1 << 38
  for o = 1, channels do c.bias[o] = random(-reach, reach) end
  return c
end

local TYPE = { [8] = "int8", [16] = "int16" }

local function bias_of(c)
  local e, is_v3 = {}, c.arithmetic == "v3-half-up"
  for o = 1, #c.bias do e[o] = c.arithmetic == "v1-tensor" and c.e_out or c.e_w[o] + (is_v3 and 0 or 4) end
  if not is_v3 then return core.tensor_from(c.bias, "int16"), 16, #c.bias > 1 and c.arithmetic == "v1-channel" and e
    or { e[1] } end
  return core.tensor_from(c.bias, c.bits == 8 and "int32" or "int64"), c.bits == 8 and 32 or 64, { e[1] }
end

-- The graph of one node that a case is.
local function graph_of(c, accumulator)
  local g = core.graph { name = "lanes", opset = 18 }
  local x = g:add_input("x", TYPE[c.bits], c.x.shape)
  local tensor = core.tensor_from(c.w.list, TYPE[c.bits]):reshape(c.w.shape)
  local w = c.computed and g:add_input("w", TYPE[c.bits], c.w.shape) or g:add_constant("w", tensor)
  x:set_quant(c.bits, { 0 })
  w:set_quant(c.bits, c.arithmetic == "v1-channel" and #c.e_w > 1 and c.e_w or { c.e_w[1] })
  local inputs = { x, w }
  if c.bias then
    local bias, bits, exponents = bias_of(c)
    inputs[3] = g:add_constant("b", bias)
    inputs[3]:set_quant(bits, exponents)
  end
  local node = g:add_node { op_type = c.op, inputs = inputs, outputs = { "y" }, attrs = c.attrs }
  node.column = c.arithmetic:match "^v3" and "v3" or "q"
  node:output(1):set_quant(c.bits, { c.e_out })
  g.arithmetic, g.accumulator = c.arithmetic, accumulator
  g:add_output(node:output(1))
  assert(g:infer_shapes())
  return g, node, tensor
end

local function results(c, accumulator, isa)
  local g, node, w = graph_of(c, accumulator)
  local x = core.tensor_from(c.x.list, TYPE[c.bits]):reshape(c.x.shape)
  local exec <close> = assert(core.executor(g, { threads = 1, isa = isa }))
  return assert(exec:run(c.computed and { x, w } or x))[1]:reshape({ -1 }):totable(), node
end

local RUNTIMES = { { "v1-tensor", 8 }, { "v1-tensor", 16 }, { "v1-channel", 8 }, { "v3-half-up", 8 }, { "v3-half-up",
  16 } }
local KINDS = { "swing", "any", "mixed", "small" }
local CASES = 5 -- of each operator, kind and runtime

describe("saturating lanes", function()
  local counts = { cases = 0, differ = 0, elements = 0, fits = 0 }

  -- The number of channels whose bound leaves the lane.
  local function beyond(c, bounds)
    local seen, n, axis = {}, 0, c.op == "Conv" and 2 or #c.y
    local inner = 1
    for k = axis + 1, #c.y do inner = inner * c.y[k] end
    for i, bound in ipairs(bounds) do
      local o = (i - 1) // inner % c.y[axis]
      if not naive.fits(bound, c.bits) and not seen[o] then seen[o], n = true, n + 1 end
    end
    return n
  end

  local function check(c, where)
    local want, bounds = naive.run(c, true)
    local exact = naive.run(c, false)
    local got, node = results(c, "lanes")
    assert.same(want, got, where)
    assert.same(want, (results(c, "lanes", "portable")), where)
    assert.same(exact, (results(c, "exact")), where)
    for i, bound in ipairs(bounds) do
      if naive.fits(bound, c.bits) then
        counts.fits = counts.fits + 1
        assert.equal(exact[i], got[i], where)
      end
      counts.differ = counts.differ + (exact[i] ~= got[i] and 1 or 0)
    end
    local saturating, channels = node:saturating()
    assert.equal(c.op == "Conv" and c.y[2] or c.y[#c.y], channels, where)
    local by_bound = beyond(c, bounds)
    if c.computed then
      assert.equal(naive.fits(c.x.shape[3] << 2 * (c.bits - 1), c.bits), saturating == 0, where)
    else assert.is_true(saturating <= by_bound, where) end
    assert.is_true(saturating > 0 or table.concat(exact, " ") == table.concat(want, " "), where)
    counts.cases, counts.elements = counts.cases + 1, counts.elements + #want
  end

  for name, shapes in pairs(SHAPES) do
    for _, runtime in ipairs(RUNTIMES) do
      local arithmetic, bits = table.unpack(runtime)
      if name ~= "MatMul of stacks" or arithmetic == "v3-half-up" then
        it(("of %s, int%d, %s, are those of plain Lua"):format(name, bits, arithmetic), function()
          for seed = 1, CASES do
            for k, kind in ipairs(KINDS) do
              local random = generator(seed * 10 + k)
              local c, x, w = shapes(random, bits)
              c.bits, c.arithmetic = bits, arithmetic
              check(fill(c, random, kind, x, w), ("%s seed %d"):format(kind, seed))
            end
          end
        end)
      end
    end
  end

  it("are compared in cases that saturate and in cases that cannot", function()
    print(("  %d cases, %d elements, %d of them other than exact, %d that the bound holds"):format(counts.cases,
      counts.elements, counts.differ, counts.fits))
    assert.is_true(counts.differ > 1000 and counts.fits > 1000)
  end)
end)
