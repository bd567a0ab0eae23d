--- Convolution, transposed convolution and pooling of up to three axes, by their definitions: flat lists in C order.

local M = {}

local function product(list)
  local n = 1
  for _, v in ipairs(list) do n = n * v end
  return n
end

-- Calls visit with every index (0-based list) of a shape, in C order.
local function each(shape, visit)
  for flat = 0, product(shape) - 1 do
    local index, rest = {}, flat
    for i = #shape, 1, -1 do index[i], rest = rest % shape[i], rest // shape[i] end
    visit(index, flat)
  end
end

local function flat(shape, index)
  local at = 0
  for i, n in ipairs(shape) do
    if index[i] < 0 or index[i] >= n then return nil end
    at = at * n + index[i]
  end
  return at
end

-- Input places of the taps of the window at output place `at`.
local function taps(o, at, visit)
  each(o.kernel, function(tap, k)
    local place = {}
    for i in ipairs(tap) do place[i] = at[i] * o.stride[i] - o.pads[i] + tap[i] * o.dilation[i] end
    visit(flat(o.in_shape, place), k, place)
  end)
end

--- y of shape n x oc x o.out_shape, of x and weights w (oc x ic/group x kernel).
function M.conv(o, x, w, bias)
  local y, pixels, size = {}, product(o.in_shape), product(o.kernel)
  local per, oper = o.ic // o.group, o.oc // o.group
  for n = 0, o.n - 1 do
    for c = 0, o.oc - 1 do
      each(o.out_shape, function(at)
        local sum = bias and bias[c + 1] or 0
        taps(o, at, function(place, k)
          for i = 0, place and per - 1 or -1 do
            local channel = n * o.ic + c // oper * per + i
            sum = sum + x[channel * pixels + place + 1] * w[(c * per + i) * size + k + 1]
          end
        end)
        y[#y + 1] = sum
      end)
    end
  end
  return y
end

--- The transposed convolution: o.in_shape and o.kernel as of the node, weights ic x oc/group x kernel.
function M.deconv(o, x, w, bias)
  local pixels, size, places = product(o.in_shape), product(o.kernel), product(o.out_shape)
  local per, oper, y = o.ic // o.group, o.oc // o.group, {}
  for i = 0, o.n * o.oc * places - 1 do y[i + 1] = bias and bias[i // places % o.oc + 1] or 0 end
  for n = 0, o.n - 1 do
    for c = 0, o.ic - 1 do
      each(o.in_shape, function(at, from)
        each(o.kernel, function(tap, k)
          local place = {}
          for i in ipairs(tap) do place[i] = at[i] * o.stride[i] - o.pads[i] + tap[i] * o.dilation[i] end
          local to = flat(o.out_shape, place)
          for j = 0, to and oper - 1 or -1 do
            local k_at = (c * oper + j) * size + k + 1
            local y_at = (n * o.oc + c // per * oper + j) * places + to + 1
            y[y_at] = y[y_at] + x[(n * o.ic + c) * pixels + from + 1] * w[k_at]
          end
        end)
      end)
    end
  end
  return y
end

--- Maxima with their indices (column_major: within a plane), or averages of planes.
function M.pool(o, x)
  local y, indices, pixels = {}, {}, product(o.in_shape)
  for c = 0, o.planes - 1 do
    each(o.out_shape, function(at)
      local sum, count, best, where = 0, 0, nil, nil
      taps(o, at, function(place, _, index)
        local inside = true
        for i, p in ipairs(index) do
          inside = inside and p >= -o.pads[i] and p < o.in_shape[i] + o.pads[#o.in_shape + i]
        end
        if place or o.count_include_pad and inside then count = count + 1 end
        local v = place and x[c * pixels + place + 1]
        sum = sum + (v or 0)
        if not v or best and v <= best then return end
        best, where = v, place
        if o.column_major then
          where = 0
          for i = #index, 1, -1 do where = where * o.in_shape[i] + index[i] end
        end
      end)
      y[#y + 1] = o.average and sum / count or best
      indices[#indices + 1] = c * pixels + (where or 0)
    end)
  end
  return y, indices
end

return M
