--- Small models as text, for specs.
---
---     local g = net.model([[
---       input  x  N,2,4,4
---       const  w  3,2,1,1
---       Conv   x w -> c   kernel_shape=1,1
---       Relu   c -> r
---       output r
---     ]], { w = core.tensor_from(...) })
---
--- A line is an operator with its inputs ("-" for one left out), outputs and attributes. Constants that are not given
--- hold small numbers; a node is named "<operator>_<first output>". Attributes: 1,2 are integers, 0.5 is a float.
local core = require "espquant.core"

local M = {}

local function numbers(text)
  local list = {}
  for word in text:gmatch "[^,]+" do list[#list + 1] = math.tointeger(tonumber(word)) or tonumber(word) or word end
  return list
end

local function attribute(text)
  if text:find "," then return numbers(text) end
  local number = tonumber(text)
  return text:find "%." and number or math.tointeger(number) or text
end

--- A float32 tensor of numbers in [-1, 1] that look random and are always the same.
function M.tensor(shape, seed, scale)
  local count, list, state = 1, {}, seed or 1
  for _, d in ipairs(shape) do count = count * d end
  for i = 1, count do
    state = (state * 1103515245 + 12345) % 2147483648
    list[i] = (state / 1073741824 - 1) * (scale or 1)
  end
  return core.tensor_from(list, "float32", shape)
end

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local statements = {}

function statements.input(g, _, name, shape, dtype)
  g:add_input(name, dtype or "float32", shape and numbers(shape) or nil)
end

function statements.const(g, given, name, shape)
  g:add_constant(name, given[name] or M.tensor(shape and numbers(shape) or {}, #name * 7 + name:byte(-1), 0.5))
end

function statements.ints(g, _, name, list)
  g:add_constant(name, core.tensor_from(numbers(list), "int64"))
end

function statements.output(g, _, ...)
  for _, name in ipairs { ... } do g:add_output(g:value(name)) end
end

local function add_node(g, op_type, line)
  local left, right = line:match "^%S+(.-)%->(.*)$"
  local inputs, outputs, attrs = {}, {}, {}
  for i, name in ipairs(words(left)) do inputs[i] = name ~= "-" and assert(g:value(name), name) end
  for _, word in ipairs(words(right)) do
    local key, value = word:match "^([%w_]+)=(.+)$"
    if key then attrs[key] = attribute(value) else outputs[#outputs + 1] = word end
  end
  local name = op_type .. "_" .. outputs[1]
  assert(g:add_node { op_type = op_type, name = name, inputs = inputs, outputs = outputs, attrs = attrs })
end

--- The graph of a text as it is written; `given` are the tensors of its constants, `opset` is 13 if not given.
function M.graph(text, given, opset)
  local g = core.graph { name = "spec", opset = opset or 13 }
  for line in text:gmatch "[^\n]+" do
    local list = words(line)
    local first = table.remove(list, 1)
    if first and statements[first] then statements[first](g, given or {}, table.unpack(list))
    elseif first then add_node(g, first, line:match "^%s*(.*)$") end
  end
  return g
end

--- The same, with inferred shapes.
function M.model(text, given, opset)
  local g = M.graph(text, given, opset)
  assert(g:infer_shapes())
  assert(g:verify())
  return g
end

--- 10 log10(signal / noise) of a tensor against what it should be; 999 where they are equal.
function M.snr(want, got)
  local noise = want - got
  local n = (noise * noise):sum()
  return n == 0 and 999 or 10 * math.log((want * want):sum() / n, 10)
end

return M
