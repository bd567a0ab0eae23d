--- The scales that a model was trained with, kept in its metadata, and what they become as powers of two.
---
---     for _, fact in ipairs(model_scales.list(graph)) do print(fact.name, fact.exponent[8], fact.error) end
---
--- A fact: name of the tensor, scale, zero_point and dtype of the model's integers. Those integers cover a range; the
--- scale of signed integers without a zero point that cover the same is `symmetric`, its nearest power of two (in the
--- logarithm) 2^exponent, and error = 2^exponent / symmetric - 1, from -0.30 to 0.42: below 0 the ends are clipped,
--- above 0 steps are coarser than in training.

local M = {}

local PREFIX = "espquant.scale."
local LIMITS = { int8 = { -128, 127 }, uint8 = { 0, 255 }, int16 = { -32768, 32767 }, uint16 = { 0, 65535 } }

--- Keeps a fact: { scale =, zero_point =, dtype = } of the tensor `name`. Others than positive scales are no facts.
function M.set(graph, name, fact)
  if not LIMITS[fact.dtype] or not (fact.scale > 0 and fact.scale < math.huge) then return end
  graph:set_metadata(PREFIX .. name, ("%.9g %d %s"):format(fact.scale, fact.zero_point, fact.dtype))
end

local function parse(text)
  local scale, zero, dtype = text:match "^(%S+) (%-?%d+) (%w+)$"
  scale, zero = tonumber(scale), math.tointeger(tonumber(zero))
  local limits = LIMITS[dtype]
  return scale and scale > 0 and scale < math.huge and limits and zero and zero >= limits[1] and zero <= limits[2]
    and { scale = scale, zero_point = zero, dtype = dtype }
end

-- Adds what the scale is as a power of two.
local function snap(fact)
  local limits = LIMITS[fact.dtype]
  local reach = math.max(fact.zero_point - limits[1], limits[2] - fact.zero_point)
  local bits = fact.dtype:match "8$" and 8 or 16
  fact.bits, fact.symmetric = bits, reach * fact.scale / 2.0 ^ (bits - 1)
  if fact.zero_point == 0 and limits[1] < 0 then fact.symmetric = fact.scale end
  fact.exponent = math.floor(math.log(fact.symmetric, 2) + 0.5)
  fact.error = 2.0 ^ fact.exponent / fact.symmetric - 1
  return fact
end

--- The facts of tensors that the graph still has, by name, in alphabetical order.
function M.list(graph)
  local list = {}
  for key, text in pairs(graph.metadata) do
    local name = key:sub(1, #PREFIX) == PREFIX and key:sub(#PREFIX + 1)
    local fact = name and graph:value(name) and parse(text)
    if fact then
      fact.name = name
      list[#list + 1] = snap(fact)
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- The exponent of every such tensor for integers of this width: name -> exponent.
function M.exponents(graph, bits)
  local found = {}
  for _, fact in ipairs(M.list(graph)) do found[fact.name] = fact.exponent + fact.bits - bits end
  return found
end

return M
