--- RNN, GRU and LSTM against their equations: directions, layouts, lengths, states, peepholes, clip, activations.

local core = require "espquant.core"

local T, N, I, H = 4, 3, 2, 3
local seed = 7
local function numbers(n)
  local list = {}
  for i = 1, n do
    seed = (seed * 1103515245 + 12345) % 2 ^ 31
    list[i] = (seed // 65536 % 17 - 8) / 8
  end
  return list
end

local function tensor(list, shape, dtype) return core.tensor_from(list, dtype or "float64"):reshape(shape) end

local function sigmoid(x) return 1 / (1 + math.exp(-x)) end
local function tanh(x) return 1 - 2 / (math.exp(2 * x) + 1) end

local functions = {
  Sigmoid = sigmoid, Tanh = tanh,
  Relu = function(x) return math.max(x, 0) end,
  Affine = function(x) return 0.5 * x + 0.25 end,
  LeakyRelu = function(x) return x < 0 and 0.01 * x or x end,
  ThresholdedRelu = function(x) return x >= 1 and x or 0 end,
  ScaledTanh = function(x) return 0.75 * tanh(0.5 * x) end,
  HardSigmoid = function(x) return math.max(0, math.min(1, 0.2 * x + 0.5)) end,
  Elu = function(x) return x < 0 and math.exp(x) - 1 or x end,
  Softsign = function(x) return x / (1 + math.abs(x)) end,
  Softplus = function(x) return math.log(1 + math.exp(x)) end,
}

local gates = { RNN = 1, GRU = 3, LSTM = 4 }
local defaults = { RNN = { "Tanh" }, GRU = { "Sigmoid", "Tanh" }, LSTM = { "Sigmoid", "Tanh", "Tanh" } }

-- The sum that gate k has for hidden number j; part "w" or "r" alone when given.
local function sum(c, d, k, j, x, h, part)
  local G, row, s = gates[c.op], (k - 1) * H + j - 1, 0
  if part ~= "r" then
    s = c.b and c.b[d * 2 * G * H + row + 1] or 0
    for i = 1, I do s = s + x[i] * c.w[(d * G * H + row) * I + i] end
  end
  if part ~= "w" then
    s = s + (c.b and c.b[d * 2 * G * H + G * H + row + 1] or 0)
    for i = 1, H do s = s + h[i] * c.r[(d * G * H + row) * H + i] end
  end
  return s
end

local steps = {}

function steps.RNN(c, d, f, x, h)
  local y = {}
  for j = 1, H do y[j] = f(1, sum(c, d, 1, j, x, h)) end
  return y
end

function steps.GRU(c, d, f, x, h)
  local y, gated, z, r = {}, {}, {}, {}
  for j = 1, H do
    z[j], r[j] = f(1, sum(c, d, 1, j, x, h)), f(1, sum(c, d, 2, j, x, h))
    gated[j] = r[j] * h[j]
  end
  for j = 1, H do
    local n
    if c.attrs.linear_before_reset then
      n = f(2, sum(c, d, 3, j, x, h, "w") + r[j] * sum(c, d, 3, j, x, h, "r"))
    else
      n = f(2, sum(c, d, 3, j, x, gated))
    end
    y[j] = (1 - z[j]) * n + z[j] * h[j]
  end
  return y
end

function steps.LSTM(c, d, f, x, h, cell)
  local y, new = {}, {}
  local function peep(k, j) return c.p and c.p[d * 3 * H + (k - 1) * H + j] or 0 end
  for j = 1, H do
    local i = f(1, sum(c, d, 1, j, x, h) + peep(1, j) * cell[j])
    local keep = f(1, sum(c, d, 3, j, x, h) + peep(3, j) * cell[j])
    if c.attrs.input_forget then keep = 1 - i end
    new[j] = keep * cell[j] + i * f(2, sum(c, d, 4, j, x, h))
    y[j] = f(1, sum(c, d, 2, j, x, h) + peep(2, j) * new[j]) * f(3, new[j])
  end
  return y, new
end

-- Y as [t][d][n], Y_h and Y_c as [d][n], lists of H numbers.
local function naive(c)
  local names, y, y_h, y_c = c.attrs.activations or defaults[c.op], {}, {}, {}
  for t = 0, T - 1 do y[t] = { [0] = {}, {} } end
  for d = 0, c.D - 1 do
    local function f(k, v)
      local clip = c.attrs.clip or math.huge
      local n = #defaults[c.op]
      return functions[names[#names > n and d * n + k or k]](math.max(-clip, math.min(clip, v)))
    end
    y_h[d], y_c[d] = {}, {}
    for n = 0, N - 1 do
      local h, cell, length = {}, {}, c.lengths and c.lengths[n + 1] or T
      for j = 1, H do
        h[j], cell[j] = c.h and c.h[(d * N + n) * H + j] or 0, c.c and c.c[(d * N + n) * H + j] or 0
      end
      for k = 0, length - 1 do
        local t = (d == 1 or c.attrs.direction == "reverse") and length - 1 - k or k
        local x = table.move(c.x, (t * N + n) * I + 1, (t * N + n + 1) * I, 1, {})
        h, cell = steps[c.op](c, d, f, x, h, cell)
        y[t][d][n] = h
      end
      y_h[d][n], y_c[d][n] = h, cell or {}
    end
  end
  return y, y_h, y_c
end

local function run(c, dtype)
  local D, G, g = c.D, gates[c.op], core.graph { name = "spec", opset = 17 }
  local function states(list) return list and tensor(list, { D, N, H }, dtype) end
  local x, h, cell = tensor(c.x, { T, N, I }, dtype), states(c.h), states(c.c)
  local list = { x, tensor(c.w, { D, G * H, I }, dtype), tensor(c.r, { D, G * H, H }, dtype),
    c.b and tensor(c.b, { D, 2 * G * H }, dtype) or false, c.lengths and tensor(c.lengths, { N }, "int32") or false,
    h or false, cell or false, c.p and tensor(c.p, { D, 3 * H }, dtype) or false }
  local inputs = {}
  for i = 1, c.op == "LSTM" and 8 or 6 do inputs[i] = list[i] and g:add_constant("x" .. i, list[i]) end
  if c.attrs.layout then
    for i, perm in pairs { [1] = { 1, 0, 2 }, [6] = { 1, 0, 2 }, [7] = { 1, 0, 2 } } do
      if inputs[i] then
        inputs[i] = g:add_node({ op_type = "Transpose", inputs = { inputs[i] }, outputs = 1,
          attrs = { perm = perm } }).outputs[1]
      end
    end
  end
  local names = c.op == "LSTM" and { "y", "y_h", "y_c" } or { "y", "y_h" }
  if c.only then names = { false, "y_h" } end
  local attrs = { hidden_size = H }
  for k, v in pairs(c.attrs) do attrs[k] = v end
  local node = g:add_node { op_type = c.op, inputs = inputs, outputs = names, attrs = attrs }
  for _, v in ipairs(c.only and { node.outputs[2] } or node.outputs) do g:add_output(v) end
  local outputs = assert(core.evaluate(g, {}))
  if c.only then table.insert(outputs, 1, false) end
  return outputs
end

local function case(op, D, attrs, more)
  local G = gates[op]
  local c = { op = op, D = D, attrs = attrs, x = numbers(T * N * I), w = numbers(D * G * H * I),
    r = numbers(D * G * H * H) }
  for k, v in pairs(more or {}) do c[k] = v end
  return c
end

local b2, three = { direction = "bidirectional" }, { 2, 4, 0 }
local cases = {}
for op, G in pairs(gates) do
  local function full(D)
    return { b = numbers(D * 2 * G * H), h = numbers(D * N * H), c = op == "LSTM" and numbers(D * N * H) or nil,
      p = op == "LSTM" and numbers(D * 3 * H) or nil }
  end
  local function add(...) cases[#cases + 1] = case(op, ...) end
  add(1, {})
  add(1, { direction = "reverse" }, full(1))
  add(2, b2, full(2))
  add(1, {}, { lengths = three, h = numbers(N * H) })
  add(2, b2, { lengths = three, b = numbers(2 * 2 * G * H) })
  add(2, { direction = "bidirectional", layout = 1 }, full(2))
  add(1, { clip = 0.5 }, full(1))
  add(1, {}, { only = true })
  local n = #defaults[op]
  for _, name in ipairs { "Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",
    "Softsign", "Softplus" } do
    local attrs, list = { activations = {} }, { Affine = { { 0.5 }, { 0.25 } }, ScaledTanh = { { 0.75 }, { 0.5 } } }
    for i = 1, n do attrs.activations[i] = defaults[op][i] end
    attrs.activations[n] = name
    if list[name] then attrs.activation_alpha, attrs.activation_beta = list[name][1], list[name][2] end
    add(1, attrs)
  end
end
cases[#cases + 1] = case("GRU", 1, { linear_before_reset = 1 }, { b = numbers(2 * 3 * H) })
cases[#cases + 1] = case("LSTM", 1, { input_forget = 1 })

local function near(expected, got, what, tolerance)
  assert.is_true(math.abs(expected - got) <= tolerance, ("%s is %s, expected %s"):format(what, got, expected))
end

local function check_states(c, expected, t, what, tolerance)
  local list = t:astype("float64"):reshape({ -1 }):totable()
  assert.equal(c.D * N * H, #list)
  for d = 0, c.D - 1 do
    for n = 0, N - 1 do
      local at = (c.attrs.layout and n * c.D + d or d * N + n) * H
      for j = 1, H do near(expected[d][n][j], list[at + j], what, tolerance) end
    end
  end
end

local function check(c, dtype, tolerance)
  local y, y_h, y_c = naive(c)
  local got = run(c, dtype)
  check_states(c, y_h, got[2], "Y_h", tolerance)
  if got[3] then check_states(c, y_c, got[3], "Y_c", tolerance) end
  if not got[1] then return end
  assert.same(c.attrs.layout and { N, T, c.D, H } or { T, c.D, N, H }, got[1].shape)
  local list = got[1]:astype("float64"):reshape({ -1 }):totable()
  for t = 0, T - 1 do
    for d = 0, c.D - 1 do
      for n = 0, N - 1 do
        local at = (c.attrs.layout and (n * T + t) * c.D + d or (t * c.D + d) * N + n) * H
        for j = 1, H do near(y[t][d][n] and y[t][d][n][j] or 0, list[at + j], "Y", tolerance) end
      end
    end
  end
end

describe("recurrent cells", function()
  for k, c in ipairs(cases) do
    it(("%d: %s %s"):format(k, c.op, c.attrs.direction or ""), function() check(c, "float64", 1e-6) end)
  end

  it("take float32 and float16", function()
    for _, op in ipairs { "RNN", "GRU", "LSTM" } do
      check(case(op, 1, {}), "float32", 1e-5)
      check(case(op, 1, {}), "float16", 2e-2)
    end
  end)

  it("name what does not fit", function()
    for what, c in pairs {
      ["sequence_lens holds 5, expected 0 to 4"] = case("GRU", 1, {}, { lengths = { 5, 0, 0 } }),
      ["activation 'Sine'"] = case("RNN", 1, { activations = { "Sine" } }),
      ["1 activations, expected 3"] = case("LSTM", 1, { activations = { "Tanh" } }),
      ["direction is 'up'"] = case("RNN", 1, { direction = "up" }),
      ["hidden_size is %-9223372036854775808"] = case("RNN", 1, { hidden_size = math.mininteger }),
      ["expected 1x4x2"] = case("RNN", 1, { hidden_size = 4 }),
    } do
      local ok, message = pcall(run, c, "float32")
      assert.is_false(ok)
      assert.matches(what, tostring(message))
    end
  end)
end)
