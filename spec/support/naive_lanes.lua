--- Conv, Gemm and MatMul of integers in plain Lua, product by product in the order kernel row, kernel column, input
--- channel; each sum may be cut to a lane of the ESP32-S3 after every product.
---
---     local list, bounds = naive.run(case, true)    -- of all outputs in C order: integers, and bounds of their sums
---
--- A case is { op =, bits =, arithmetic =, x =, w =, bias = list or nil, y = shape, e_out =, e_w = list, attrs =,
--- relu = true where inputs are not negative }; x and w are { shape =, list = }. Inputs have the exponent 0.
local M = {}

local LANE = { [8] = 20, [16] = 40 }

function M.clip(v, bits) return math.max(-(1 << bits - 1), math.min((1 << bits - 1) - 1, v)) end

local clip = M.clip

-- Calls product(x, w) for all products of an output element, in order.
local PRODUCTS = {}

function PRODUCTS.Conv(c, at, product)
  local _, ic, ih, iw = table.unpack(c.x.shape)
  local oc, per, kh, kw = table.unpack(c.w.shape)
  local a, n, o = c.attrs, at[1], at[2]
  local first = o // (oc // a.group) * per
  for ky = 0, kh - 1 do
    for kx = 0, kw - 1 do
      local y = at[3] * a.strides[1] - a.pads[1] + ky * a.dilations[1]
      local x = at[4] * a.strides[2] - a.pads[2] + kx * a.dilations[2]
      local inside = y >= 0 and y < ih and x >= 0 and x < iw
      for i = 0, per - 1 do
        local v = inside and c.x.list[((n * ic + first + i) * ih + y) * iw + x + 1] or 0
        product(v, c.w.list[((o * per + i) * kh + ky) * kw + kx + 1])
      end
    end
  end
end

function PRODUCTS.Gemm(c, at, product)
  local k = c.x.shape[2]
  for i = 0, k - 1 do product(c.x.list[at[1] * k + i + 1], c.w.list[at[2] * k + i + 1]) end
end

-- Of two dimensions, or of stacks of as many matrices.
function PRODUCTS.MatMul(c, at, product)
  local rank = #c.x.shape
  local m, k, n, stack = c.x.shape[rank - 1], c.x.shape[rank], c.w.shape[#c.w.shape], rank == 3 and at[1] or 0
  local row = (stack * m + at[rank - 1]) * k
  for i = 0, k - 1 do
    product(c.x.list[row + i + 1], c.w.list[((#c.w.shape == 3 and stack or 0) * k + i) * n + at[rank] + 1])
  end
end

-- From sum to output, by arithmetic; shifts are to the right, and // is floor.
local FINISH = {}

FINISH["v1-tensor"] = function(c, v, o)
  return (clip(v, LANE[c.bits]) // (1 << c.e_out)) + (c.bias and c.bias[o] or 0)
end

FINISH["v1-channel"] = function(c, v, o)
  local t = clip(v, 20) // 16
  if c.bias then t = clip(t + c.bias[o], 16) end
  local right = c.e_out - c.e_w[o] - 4
  return right >= 0 and t // (1 << right) or t << -right
end

FINISH["v3-half-up"] = function(c, v, o)
  local right = c.e_out - c.e_w[o]
  return right > 0 and (v + (1 << right - 1)) // (1 << right) or v << -right
end

local function element(c, at, o, is_lane)
  local sum, lane, most = 0, LANE[c.bits], (1 << c.bits - 1)
  if c.arithmetic == "v3-half-up" and c.bias then sum = c.bias[o] end
  local bound = math.abs(sum)
  PRODUCTS[c.op](c, at, function(x, w)
    bound, sum = bound + math.abs(w) * most, sum + x * w
    if is_lane then sum = clip(sum, lane) end
  end)
  return clip(FINISH[c.arithmetic](c, sum, o), c.bits), bound
end

--- All outputs on lanes or exact, and |start| + sum|w| * max|x| of each.
function M.run(c, is_lane)
  local list, bounds, at = {}, {}, {}
  for k = 1, #c.y do at[k] = 0 end
  local axis = c.op == "Conv" and 2 or #c.y
  local count = 1
  for _, d in ipairs(c.y) do count = count * d end
  for i = 1, count do
    list[i], bounds[i] = element(c, at, at[axis] + 1, is_lane)
    local k = #c.y
    while k > 0 do
      at[k] = at[k] + 1
      if at[k] < c.y[k] then break end
      at[k], k = 0, k - 1
    end
  end
  return list, bounds
end

--- Whether a bound stays inside of a lane.
function M.fits(bound, bits) return bound < 1 << LANE[bits] - 1 end

return M
