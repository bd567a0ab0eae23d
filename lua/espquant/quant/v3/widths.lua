--- Which width each node has: that of the model, or what `layers` says.
---
---     local widths, layers = widths.resolve(graph, 8, { ["head_*"] = "int16", conv1 = { observer = "minmax" } })
---     widths[node]        -- 8, 16, or nil for a float node
---     layers[node]        -- { bits =, observer =, weight_observer = }, where something was given
---
--- Keys are names of nodes or of their outputs, or patterns in which "*" stands for any text and "?" for one character.
--- A name goes before a pattern, and of patterns the longer one counts.

local roles = require "espquant.quant.v3.roles"

local M = {}

local WIDTHS = { int8 = 8, int16 = 16, float = 0 }

-- A Lua pattern for the key, or nil where it is a plain name.
local function pattern_of(key)
  if not key:find "[*?]" then return nil end
  return "^" .. key:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- Keys in order of what they count, the weakest first: patterns by length, then names; alphabetical where equal.
local function sorted_keys(layers)
  local keys = {}
  for key in pairs(layers) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local pa, pb = pattern_of(a) ~= nil, pattern_of(b) ~= nil
    if pa ~= pb then return pa end
    if #a ~= #b then return #a < #b end
    return a < b
  end)
  return keys
end

local function matches(node, key, pattern)
  if pattern and node.name:find(pattern) or node.name == key then return true end
  for _, output in ipairs(node.outputs) do
    if output and (output.name == key or pattern and output.name:find(pattern)) then return true end
  end
  return false
end

local function settings_of(value)
  if type(value) == "string" then return { bits = value } end
  return value
end

-- Puts the settings of a key over those that are there.
local function merge(own, value)
  local merged = {}
  for _, source in ipairs { own or {}, settings_of(value) } do
    for option, x in pairs(source) do merged[option] = x end
  end
  return merged
end

-- node -> settings; keys that fit no node are problems.
local function settings(graph, layers)
  local found, problems = {}, {}
  for _, key in ipairs(sorted_keys(layers)) do
    local pattern, used = pattern_of(key), false
    for node in graph:nodes() do
      if matches(node, key, pattern) then found[node], used = merge(found[node], layers[key]), true end
    end
    if not used then
      problems[#problems + 1] = ("layers: no node and no tensor of the model is called '%s'; see espquant info"):format(
        key)
    end
  end
  return found, problems
end

-- A computing node and the activation that is fused to it have one width: the larger.
local function join_fused(graph, widths)
  for node in graph:nodes() do
    local activation = M.fused_activation(node)
    if activation and widths[node] and widths[activation] then
      local wider = math.max(widths[node], widths[activation])
      widths[node], widths[activation] = wider, wider
    end
  end
end

--- The Relu or Clip that shares the exponent of the node's output, since it is its only consumer; else nil.
function M.fused_activation(node)
  local consumer, index = roles.sole_consumer(node.outputs)
  if consumer and index == 1 and (consumer.op_type == "Relu" or consumer.op_type == "Clip") then return consumer end
end

--- Widths and settings of the nodes; or nil, message, code, problems for keys that fit nothing and for floats where the
--- runtime has none.
function M.resolve(graph, bits, layers)
  local own, problems = settings(graph, layers or {})
  local widths = {}
  for node in graph:nodes() do
    local wanted = own[node] and WIDTHS[own[node].bits] or bits
    widths[node] = roles.rule(node).quantized and wanted ~= 0 and wanted or nil
    if wanted == 0 and roles.rule(node).no_float then
      problems[#problems + 1] = ("%s: ESP-DL has no float %s; choose int8 or int16"):format(node:label(), node.op_type)
    end
  end
  if #problems > 0 then
    if #problems == 1 then return nil, problems[1], "format" end
    return nil, ("%d layers cannot be as asked"):format(#problems), "format", problems
  end
  join_fused(graph, widths)
  return widths, own
end

--- The widths that differ from the model's, by the nodes' names: what a table keeps ("int8", "int16", "float").
function M.differing(graph, widths, bits)
  local list = {}
  for node in graph:nodes() do
    local width = widths[node]
    if width ~= bits and roles.rule(node).quantized then list[node.name] = width and "int" .. width or "float" end
  end
  return next(list) and list
end

return M
