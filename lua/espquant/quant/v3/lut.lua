--- Tables of activations for ESP-DL v3: what a chip looks up instead of computing.
---
---     local f = lut.functions.Sigmoid(node, {})           -- the function of a node, on numbers
---     local table = lut.table(f, -4, -7, 8, "half-up")    -- int8[256], index = integer + 128
---     local table = lut.table(f, -12, -15, 16, "half-up", 32)   -- int16[65536 / 32 + 1]
---
--- An entry is f in double precision, rounded to float32, divided by 2^exponent and rounded as the target rounds.

local core = require "espquant.core"

local M = {}

--- The step of tables of 16 bits: one entry for so many integers, the nearest is taken.
M.STEP = 32

-- --- functions -------------------------------------------------------------------------------------------------------

local exp = math.exp

local function sigmoid(x)
  if x >= 0 then return 1 / (1 + exp(-x)) end
  local e = exp(x)
  return e / (1 + e)
end

local function tanh(x)
  if math.abs(x) < 1e-3 then return x - x ^ 3 / 3 + 2 * x ^ 5 / 15 end
  local e = exp(-2 * math.abs(x))
  local y = (1 - e) / (1 + e)
  return x < 0 and -y or y
end

-- The power series to 3, the continued fraction of erfc beyond.
local function erf(x)
  local a = math.abs(x)
  if a > 6 then return x < 0 and -1.0 or 1.0 end
  if a <= 3 then
    local sum, term, n = x, x, 0
    repeat
      n = n + 1
      term = -term * x * x / n
      sum = sum + term / (2 * n + 1)
    until math.abs(term) < 1e-18 * math.abs(sum) or term == 0
    return sum * 2 / math.sqrt(math.pi)
  end
  local f = 0.0
  for k = 60, 1, -1 do f = k / 2 / (a + f) end
  local y = 1 - exp(-a * a) / math.sqrt(math.pi) / (a + f)
  return x < 0 and -y or y
end

local function clamp(x, lo, hi)
  return x < lo and lo or x > hi and hi or x
end

local F = {}
M.functions = F

local function always(f)
  return function() return f end
end

F.Relu = always(function(x) return x > 0 and x or 0.0 end)
F.Neg = always(function(x) return -x end)
F.Sigmoid, F.Tanh, F.Erf, F.Exp, F.Sqrt = always(sigmoid), always(tanh), always(erf), always(exp), always(math.sqrt)
F.Log = always(math.log)
F.Sin, F.Cos, F.Tan = always(math.sin), always(math.cos), always(math.tan)
F.Softplus = always(function(x) return math.max(x, 0) + math.log(1 + exp(-math.abs(x))) end)
F.HardSwish = always(function(x) return x * clamp(x + 3, 0, 6) / 6 end)

function F.LeakyRelu(node)
  local alpha = node:attr "alpha"
  return function(x) return x < 0 and x * alpha or x end
end

function F.HardSigmoid(node)
  local alpha, beta = node:attr "alpha", node:attr "beta"
  return function(x) return clamp(alpha * x + beta, 0, 1) end
end

function F.Elu(node)
  local alpha = node:attr "alpha"
  return function(x) return x < 0 and alpha * (exp(x) - 1) or x end
end

function F.Swish(node)
  local alpha = node:attr("alpha", 1.0)
  return function(x) return x * sigmoid(alpha * x) end
end

local ROOT_2, ROOT_2_PI = math.sqrt(2), math.sqrt(2 / math.pi)

function F.Gelu(node)
  if node:attr("approximate", "none") == "tanh" then
    return function(x) return 0.5 * x * (1 + tanh(ROOT_2_PI * (x + 0.044715 * x ^ 3))) end
  end
  return function(x) return 0.5 * x * (1 + erf(x / ROOT_2)) end
end

--- The bounds as real numbers, -math.huge and math.huge where there is none.
function F.Clip(_, parameters)
  return function(x) return clamp(x, parameters.min, parameters.max) end
end

--- One slope.
function F.PRelu(_, parameters)
  return function(x) return x < 0 and x * parameters.slope or x end
end

-- --- tables ----------------------------------------------------------------------------------------------------------

local function float32(x) return (string.unpack("f", string.pack("f", x))) end

local ROUND = {
  ["half-up"] = function(x) return math.floor(x + 0.5) end,
  ["half-even"] = function(x)
    local low = math.floor(x)
    local rest = x - low
    return (rest > 0.5 or rest == 0.5 and low % 2 == 1) and low + 1 or low
  end,
}

-- NaN, which no range of integers has, becomes 0.
local function quantize(x, exponent, bits, round)
  local most = 2.0 ^ (bits - 1)
  if x ~= x then return 0 end
  x = clamp(float32(x) * 2.0 ^ -exponent, -most - 1, most)
  return math.tointeger(clamp(round(x), -most, most - 1))
end

--- The table of a function for integers of `bits` bits at 2^e_in, its results at 2^e_out: a tensor of 256 entries of
--- int8, or of 65536 / step + 1 of int16.
function M.table(f, e_in, e_out, bits, rounding, step)
  local list, scale, round = {}, 2.0 ^ e_in, ROUND[rounding]
  local first, last, by = -128, 127, 1
  if bits == 16 then first, last, by = -32768, 32768, step end
  for q = first, last, by do list[#list + 1] = quantize(f(q * scale), e_out, bits, round) end
  return core.tensor_from(list, bits == 8 and "int8" or "int16")
end

return M
