-- GRU and LSTM of ESP-DL v3: near float in every direction and layout; each integer as a plain Lua loop computes it.
local core = require "espquant.core"
local espdl_graph = require "espquant.espdl_graph"
local espdl_test = require "espquant.espdl_test"
local espquant = require "espquant"
local harness = require "spec.support.pass_harness"

local STEPS, INPUTS, HIDDEN = 5, 6, 4
local GATES = { GRU = 3, LSTM = 4 }
local OUTPUTS = { GRU = { "y", "y_h" }, LSTM = { "y", "y_h", "y_c" } }

-- A model of one node; o: direction, layout, bare (no bias, no initial states).
local function model(op, o)
  local b = harness.builder()
  b.graph.opset = 14
  local d = o.direction == "bidirectional" and 2 or 1
  local rows, state = GATES[op] * HIDDEN, o.layout == 1 and { 1, d, HIDDEN } or { d, 1, HIDDEN }
  local inputs = {
    b.input("x", o.layout == 1 and { 1, STEPS, INPUTS } or { STEPS, 1, INPUTS }),
    b.random("w", { d, rows, INPUTS }), b.random("r", { d, rows, HIDDEN }),
  }
  if not o.bare then
    inputs[4], inputs[5] = b.random("b", { d, 2 * rows }), false
    inputs[6] = b.constant("h0", harness.random(state, 9) * 0.2) -- which has the exponent of y
    if op == "LSTM" then inputs[7] = b.random("c0", state) end
  end
  local node = b.make(op, inputs, { name = "n", outputs = OUTPUTS[op], attrs = {
    hidden_size = HIDDEN, direction = o.direction, layout = o.layout, linear_before_reset = op == "GRU" and 1 or nil,
  } })
  for _, value in ipairs(node.outputs) do b.output(value) end
  assert(b.graph:infer_shapes())
  return b.graph
end

local function simulate(graph, bits, target, data)
  local calib = espquant.Calibrator { bits = bits, runtime = "v3", target = target, observer = "minmax",
    weight_observer = "minmax", log = function() end }
  local t = assert(calib:measure_table(graph, data))
  local eva = espquant.Evaluator { bits = bits, runtime = "v3", chip = target }
  eva:generate_quantized_model(graph, t)
  return eva, t, calib
end

-- The exported file's own test, run on what is read of it.
local function check_file(calib, graph, t, data)
  local path = os.tmpname()
  calib:export_espdl(graph, t, path, { test_input = data })
  local entry = assert(espquant.espdl.load(path))[1]
  for _, tensor in ipairs(assert(espdl_test(assert(espdl_graph.read(entry, "esp32p4")), entry))) do
    assert.equal(0, tensor.different, tensor.name)
  end
  os.remove(path)
end

-- --- one cell after the other, in plain Lua --------------------------------------------------------------------------

local function half_up(x) return math.floor(x + 0.5) end

local function clip(x, bits) return math.tointeger(math.max(-2.0 ^ (bits - 1), math.min(x, 2.0 ^ (bits - 1) - 1))) end

local function float32(x) return (string.unpack("f", string.pack("f", x))) end

local function sigmoid(x) return float32(1 / (1 + math.exp(-x))) end

local function tanh(x)
  local e = math.exp(-2 * math.abs(x))
  return float32((x < 0 and -1 or 1) * (1 - e) / (1 + e))
end

-- Row `row` of matrix m times the vector v, at 2^-9 in int16.
local function product(m, row, v, exponent)
  local sum = 0
  for j, x in ipairs(v) do sum = sum + m[row][j] * x end
  return clip(half_up(sum * 2.0 ^ (exponent + 9)), 16)
end

local CELLS = {}

function CELLS.GRU(s, wx, rh, b, j)
  local function pre(g) return (wx(g) + b[g * HIDDEN + j] + rh(g) + b[(3 + g) * HIDDEN + j]) / 512 end
  local z, r = sigmoid(pre(0)), sigmoid(pre(1))
  local x, h = wx(2) + b[2 * HIDDEN + j], rh(2) + b[5 * HIDDEN + j]
  local n = tanh(clip(half_up(float32(x + float32(r * h))), 16) / 512)
  return float32(float32(float32(1 - z) * n) + float32(z * float32(s.h[j] * 2.0 ^ s.e)))
end

function CELLS.LSTM(s, wx, rh, b, j)
  local function pre(g) return (wx(g) + rh(g) + b[g * HIDDEN + j] + b[(4 + g) * HIDDEN + j]) / 512 end
  local i, o, f, g = sigmoid(pre(0)), sigmoid(pre(1)), sigmoid(pre(2)), tanh(pre(3))
  s.c[j] = clip(half_up(float32(float32(f * (s.c[j] / 512)) + float32(i * g)) * 512), 16)
  return float32(o * tanh(s.c[j] / 512))
end

-- The outputs of a forward node of a half-up chip, as lists of integers.
local function naive(op, node, x, bits)
  local function constant(i) return node:input(i).constant:totable() end
  local function e(value) return value.quant.exponents[1] end
  local w, r, b, y = constant(2)[1], constant(3)[1], constant(4)[1], {}
  local s = { h = constant(6)[1][1], c = op == "LSTM" and constant(7)[1][1] or {}, e = e(node:output(1)) }
  local e_w, e_r = e(node:input(1)) + e(node:input(2)), s.e + e(node:input(3))
  for t = 1, STEPS do
    local before, next_h = s.h, {}
    for j = 1, HIDDEN do
      local function wx(g) return product(w, g * HIDDEN + j, x[t][1], e_w) end
      local function rh(g) return product(r, g * HIDDEN + j, before, e_r) end
      next_h[j] = clip(half_up(CELLS[op](s, wx, rh, b, j) * 2.0 ^ -s.e), bits)
    end
    s.h, y[t] = next_h, { { next_h } }
  end
  return { y, { { s.h } }, op == "LSTM" and { { s.c } } or nil }
end

-- --------------------------------------------------------------------------------------------------------------------

describe("recurrent layers of ESP-DL v3", function()
  local data = harness.random({ STEPS, 1, INPUTS }, 5)

  for _, op in ipairs { "GRU", "LSTM" } do
    it(("%s is near float"):format(op), function()
      for _, o in ipairs { {}, { direction = "reverse" }, { direction = "bidirectional" }, { layout = 1 },
        { bare = true }, { direction = "bidirectional", layout = 1 } } do
        for _, bits in ipairs { "int8", "int16" } do
          local graph = model(op, o)
          local x = o.layout == 1 and data:reshape { 1, STEPS, INPUTS } or data
          local eva, t, calib = simulate(graph, bits, "esp32p4", x)
          local exec <close> = assert(core.executor(graph, { threads = 1 }))
          local want, got, names = exec:run(x), eva:evaluate_quantized_model(x, true)
          assert.same(OUTPUTS[op], names)
          for i, name in ipairs(names) do
            local most = bits == "int8" and 0.06 or 0.01 -- gates at 2^-9
            assert.is_true((want[i] - got[i]):maxabs() <= most, ("%s %s: %g"):format(bits, name,
              (want[i] - got[i]):maxabs()))
          end
          if op == "LSTM" then assert.same({ -9 }, t:get "y_c".exponents) end
          check_file(calib, graph, t, x)
        end
      end
    end)

    it(("%s computes the integers of the definition"):format(op), function()
      for _, bits in ipairs { 8, 16 } do
        local eva = simulate(model(op, {}), "int" .. bits, "c", data)
        local node = eva.graph:node "n"
        local x = data:quantize(node:input(1).quant.exponents, bits, nil, "half-up")
        local want, got = naive(op, node, x:totable(), bits), eva:evaluate_quantized_model(data)
        for i, list in ipairs(want) do assert.same(list, got[i]:totable(), op .. bits .. " output " .. i) end
      end
    end)
  end
end)
