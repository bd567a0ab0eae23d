-- "GRU" and "LSTM" of ESP-DL v3 against plain Lua: integers at the exponents of input, weights and output, gates at -9.

local core = require "espquant.core"

local CELL = -9

local function f32(x) return (string.unpack("f", string.pack("f", x))) end

local function half_even(x)
  local below = math.floor(x)
  if x - below ~= 0.5 then return math.floor(x + 0.5) end
  return below % 2 == 0 and below or below + 1
end

local ROUND = { ["half-up"] = function(x) return math.floor(x + 0.5) end, ["half-even"] = half_even }

local function clip(v, bits) return math.max(-(1 << (bits - 1)), math.min((1 << (bits - 1)) - 1, math.floor(v))) end

local function sigmoid(v) return f32(1 / (1 + math.exp(-v * 2.0 ^ CELL))) end

local function tangent(v)
  local e = math.exp(2 * v * 2.0 ^ CELL)
  return f32((e - 1) / (e + 1))
end

local seed = 1
local function integer(bits)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % (1 << bits) - (1 << (bits - 1))
end

local function integers(count, bits)
  local list = {}
  for i = 1, count do list[i] = integer(bits) end
  return list
end

-- { y, y_h, y_c } of the whole sequence, lists in ONNX's order (layout 0).
local function naive(c, x, w, r, b, h0, c0, round)
  local gates, T, N, I, H, D = c.lstm and 4 or 3, c.steps, c.batch, c.inputs, c.hidden, c.directions
  local y, y_h, y_c = {}, {}, {}
  for d = 0, D - 1 do
    for n = 0, N - 1 do
      local h, cell = {}, {}
      for k = 1, H do
        h[k] = h0 and h0[(d * N + n) * H + k] or 0
        cell[k] = c0 and c0[(d * N + n) * H + k] or 0
      end
      local back = c.direction == "reverse" or d == 1
      for s = 0, T - 1 do
        local t = back and T - 1 - s or s
        local function part(half, row)
          local sum, at = 0, (d * gates * H + row)
          if half == 0 then
            for k = 1, I do sum = sum + w[at * I + k] * x[(t * N + n) * I + k] end
          else
            for k = 1, H do sum = sum + r[at * H + k] * h[k] end
          end
          local e = half == 0 and c.ex + c.ew or c.ey + c.er
          return clip(round(sum * 2.0 ^ (e - CELL)), 16) + (b and b[(2 * d + half) * gates * H + row + 1] or 0)
        end
        local function sum(row) return part(0, row) + part(1, row) end
        local next_h = {}
        for k = 1, H do
          if c.lstm then
            local i, o, f = sigmoid(sum(k - 1)), sigmoid(sum(H + k - 1)), sigmoid(sum(2 * H + k - 1))
            local g = tangent(sum(3 * H + k - 1))
            cell[k] = clip(round(f32(f32(f * cell[k]) + f32(i * g) * 2.0 ^ -CELL)), 16)
            next_h[k] = clip(round(f32(o * tangent(cell[k])) * 2.0 ^ -c.ey), c.bits)
          else
            local z, reset = sigmoid(sum(k - 1)), sigmoid(sum(H + k - 1))
            local inside = f32(part(0, 2 * H + k - 1) + f32(reset * part(1, 2 * H + k - 1)))
            local candidate = tangent(clip(round(inside), 16))
            next_h[k] = clip(round(f32(f32(f32(1 - z) * candidate) * 2.0 ^ -c.ey + f32(z * h[k]))), c.bits)
          end
        end
        h = next_h
        for k = 1, H do y[((t * D + d) * N + n) * H + k] = h[k] end
      end
      for k = 1, H do
        y_h[(d * N + n) * H + k], y_c[(d * N + n) * H + k] = h[k], cell[k]
      end
    end
  end
  return { y, y_h, y_c }
end

local TYPE = { [8] = "int8", [16] = "int16" }

local function run(c, rounding)
  local gates, D, H = c.lstm and 4 or 3, c.directions, c.hidden
  local x = integers(c.steps * c.batch * c.inputs, c.bits)
  local w, r = integers(D * gates * H * c.inputs, c.bits), integers(D * gates * H * H, c.bits)
  local b = c.bias and integers(D * 2 * gates * H, 11)
  local h0 = c.state and integers(D * c.batch * H, c.bits)
  local c0 = c.state and c.lstm and integers(D * c.batch * H, 12)
  local g = core.graph { name = "r", opset = 22 }
  local input = g:add_input("x", TYPE[c.bits], { c.steps, c.batch, c.inputs })
  input:set_quant(c.bits, { c.ex })
  local function constant(list, bits, e, shape)
    if not list then return false end
    local value = g:add_constant(nil, core.tensor_from(list, TYPE[bits]):reshape(shape))
    value:set_quant(bits, { e })
    return value
  end
  local node = g:add_node {
    op_type = c.lstm and "LSTM" or "GRU", outputs = { "y", "y_h", c.lstm and "y_c" or nil },
    inputs = { input, constant(w, c.bits, c.ew, { D, gates * H, c.inputs }),
      constant(r, c.bits, c.er, { D, gates * H, H }), constant(b, 16, CELL, { D, 2 * gates * H }), false,
      constant(h0, c.bits, c.ey, { D, c.batch, H }), c.lstm and constant(c0, 16, CELL, { D, c.batch, H }) or nil },
    attrs = { hidden_size = H, direction = c.direction, linear_before_reset = not c.lstm and 1 or nil },
  }
  node.column, g.arithmetic = "v3", "v3-" .. rounding
  node:output(1):set_quant(c.bits, { c.ey })
  node:output(2):set_quant(c.bits, { c.ey })
  if c.lstm then node:output(3):set_quant(16, { CELL }) end
  for i = 1, c.lstm and 3 or 2 do g:add_output(node:output(i)) end
  assert(g:infer_shapes())
  local exec <close> = assert(core.executor(g, {}))
  local got = assert(exec:run(core.tensor_from(x, TYPE[c.bits]):reshape { c.steps, c.batch, c.inputs }))
  local want = naive(c, x, w, r, b, h0, c0, ROUND[rounding])
  for i, tensor in ipairs(got) do assert.same(want[i], tensor:reshape { -1 }:totable()) end
end

describe("recurrent layers of ESP-DL v3", function()
  for _, lstm in ipairs { false, true } do
    for _, bits in ipairs { 8, 16 } do
      for i, direction in ipairs { "forward", "reverse", "bidirectional" } do
        local c = { lstm = lstm, bits = bits, direction = direction, directions = i == 3 and 2 or 1, steps = 4,
          batch = i == 3 and 2 or 1, inputs = 5, hidden = 3, bias = i ~= 2, state = i ~= 1,
          ew = bits == 8 and -8 or -16,
          ex = bits == 8 and -6 or -14, er = bits == 8 and -9 or -17, ey = bits == 8 and -7 or -15 }
        it(("%s int%d %s"):format(lstm and "LSTM" or "GRU", bits, direction), function()
          for rounding in pairs(ROUND) do
            for _ = 1, 5 do run(c, rounding) end
          end
        end)
      end
    end
  end
end)
