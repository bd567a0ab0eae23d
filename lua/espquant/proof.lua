--- Does a model still compute the same? Two float models on the same random input.

local core = require "espquant.core"

local M = {}

-- A comparison is no reason to fill the memory: inputs of more numbers are not made.
local MOST_NUMBERS = 1 << 24
-- Random numbers repeat after a prime, so that no two rows or channels of usual sizes are alike.
local PERIOD = 65521

-- Reproducible numbers in [-1, 1), float32, as bytes.
local function numbers(count, seed)
  local list = {}
  for i = 1, math.min(count, PERIOD) do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    list[i] = string.pack("<f", (seed >> 8) / (1 << 22) - 1)
  end
  return table.concat(list):rep(math.ceil(count / PERIOD)):sub(1, 4 * count)
end

-- Floats are random; integers and booleans, which may be indexes, are 0. Open dimensions are 1.
local function input_tensor(value, seed)
  local shape, count = value.shape, 1
  if not shape then return nil, ("the shape of input '%s' is not known"):format(value.name) end
  for i, d in ipairs(shape) do
    shape[i] = math.type(d) == "integer" and d or 1
    count = math.tointeger(math.min(count * shape[i] * 1.0, MOST_NUMBERS + 1))
  end
  if count > MOST_NUMBERS then
    return nil, ("input '%s' has more than %d numbers"):format(value.name, MOST_NUMBERS)
  end
  local dtype = value.dtype or "float32"
  if not dtype:match "^float" then return core.tensor(shape, dtype) end
  local t, message = core.tensor_frombytes { dtype = "float32", shape = shape, data = numbers(count, seed) }
  if not t then return nil, ("input '%s': %s"):format(value.name, message) end
  return t:astype(dtype)
end

local function inputs_of(graph)
  local list = {}
  for i, value in ipairs(graph.inputs) do
    local t, message = input_tensor(value, i)
    if not t then return nil, message end
    list[i] = t
  end
  return list
end

-- Name of output -> tensor; the evaluator serves where shapes depend on data.
local function run(graph, inputs)
  local exec <close>, message, code = core.executor(graph)
  local outputs, names
  if exec then outputs, names, code = exec:run(inputs) end
  if not outputs and code ~= "limit" then outputs, names = core.evaluate(graph, inputs) end
  if not outputs then return nil, message or names end
  local results = {}
  for i, name in ipairs(names) do results[name] = outputs[i] end
  return results
end

-- The largest difference relative to the largest number of a; nil where there is no number for it.
local function difference(a, b)
  if a:equal(b) then return 0.0 end
  if table.concat(a.shape, "x") ~= table.concat(b.shape, "x") then return math.huge end
  a, b = a:astype "float32", b:astype "float32"
  if not a:isfinite() then return nil end
  if not b:isfinite() then return math.huge end
  local largest = a:maxabs()
  return (a - b):maxabs() / (largest > 0 and largest or 1)
end

--- Runs both on the same input: { difference = the largest, relative to the output's largest number, output = where,
--- compared = how many outputs, skipped = names of those that only one has or that are not finite }; or nil, why it
--- cannot be told, and true if `before` runs and `after` does not. Shapes are inferred in both.
function M.compare(before, after)
  local inputs, message = inputs_of(before)
  if not inputs then return nil, message end
  local a, why = run(before, inputs)
  if not a then return nil, why end
  local b, fault = run(after, inputs)
  if not b then return nil, fault, true end
  local facts = { difference = 0.0, compared = 0, skipped = {} }
  for _, value in ipairs(before.outputs) do
    local name = value.name
    local d = b[name] and difference(a[name], b[name])
    if not d then facts.skipped[#facts.skipped + 1] = name
    else
      facts.compared = facts.compared + 1
      if d >= facts.difference then facts.difference, facts.output = d, name end
    end
  end
  return facts
end

return M
