--- A quantization table as JSON: our own form, one tensor a line, the same bytes for the same table.
---
---     {
---      "bits": 8, "format": "espquant-table", "granularity": "per-channel", ...
---      "order": ["input", "conv_out", "conv_w"],
---      "tensors": {
---       "conv_out": {"bits": 8, "exponents": [-4], "kind": "activation"},
---       "conv_w": {"bits": 8, "exponents": [-7, null], "kind": "weight"},
---       ...
---
--- Tables of ESP-DL v3 ("runtime": "v3") may have "layers", an object from names of nodes to "int8", "int16" or
--- "float", and entries "seams", an object from widths ("8", "16") to exponents. In others "bits" is told, but not
--- read.
---
--- An exponent e means a scale of 2^e; null stands for a scale of 0, "inf" and "nan" for those. Where a scale is no
--- power of two, the entry has "scales" instead of "exponents". Facts and entries are those of `espquant.qtable`.

local json = require "espquant.json"

local M = {}

M.FORMAT, M.VERSION = "espquant-table", 1

--- What is known about a table as a whole, all of it optional.
M.FACTS = {
  "runtime", "mode", "target", "bits", "granularity", "method", "observer", "weight_observer", "layers", "isa", "model",
  "data", "tool",
}
--- Kinds of entries, and the Python types of those whose kind is not known.
M.KINDS = {
  input = true, activation = true, weight = true, bias = true, alpha = true, shape = true, constant = true,
  float = true,
}
M.FORMS = { float64 = true, array = true, float = true }

local BITS = { [8] = true, [16] = true, [20] = true, [32] = true, [40] = true, [64] = true } -- of entries of v3
local LAYERS = { int8 = true, int16 = true, float = true }
local MAX_EXPONENT = 1023 -- of what a double can hold, as pickles do
local MOST_PROBLEMS = 100 -- that are told
local NAN = -(0 / 0) -- without a sign on x86, as from Python

-- --- writing ------------------------------------------------------------------------------------------------------

-- Numbers that JSON does not know: null stands for a scale of 0.
local function json_number(e)
  if e == -math.huge then return json.null end
  if e ~= e then return "nan" end
  return e == math.huge and "inf" or e
end

local function json_list(numbers)
  local out = {}
  for i, e in ipairs(numbers) do out[i] = json_number(e) end
  return json.array(out)
end

local function bits_of(entry, facts)
  if facts.runtime == "v3" then return entry.bits end
  local wide = entry.kind == "bias" and facts.granularity == "per-channel"
  return entry.kind ~= "shape" and (wide and 16 or facts.bits) or nil
end

local function json_seams(seams)
  local out = {}
  for bits, e in pairs(seams) do out[tostring(bits)] = e end
  return json.object(out)
end

local function json_entry(entry, facts)
  local numbers = entry.kind ~= "shape" and entry.kind ~= "float" and entry.exponents
  return {
    kind = entry.kind, form = not entry.kind and entry.form or nil, bits = bits_of(entry, facts),
    exponents = numbers and json_list(numbers) or nil,
    scales = entry.scales and json_list(entry.scales) or nil,
    seams = entry.seams and json_seams(entry.seams) or nil,
  }
end

--- The text.
function M.encode(facts, entries)
  local tensors, order = {}, {}
  for i, entry in ipairs(entries) do
    order[i], tensors[entry.name] = entry.name, json.object(json_entry(entry, facts))
  end
  local doc = { format = M.FORMAT, version = M.VERSION, tensors = json.object(tensors), order = json.array(order) }
  for _, key in ipairs(M.FACTS) do doc[key] = facts[key] end
  doc.layers = facts.layers and json.object(facts.layers)
  return json.encode(doc, { indent = 1, levels = 2 }) .. "\n"
end

-- --- reading ------------------------------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function Reader:problem(text, ...)
  self.count = self.count + 1
  if self.count <= MOST_PROBLEMS then self.problems[self.count] = text:format(...) end
end

local function show(value)
  return type(value) == "table" and "a list or object" or tostring(value)
end

local function read_exponent(e)
  if e == json.null then return -math.huge end
  if e == "inf" then return math.huge elseif e == "nan" then return NAN end
  return math.type(e) == "integer" and math.abs(e) <= MAX_EXPONENT and e or nil
end

local function read_scale(s)
  if s == "inf" then return math.huge elseif s == "nan" then return NAN end
  return s == json.null and 0.0 or type(s) == "number" and s + 0.0 or nil
end

-- A list of at least one number; `read` gives nil for what is none.
function Reader:list(name, what, list, read)
  if type(list) ~= "table" or #list == 0 then
    return self:problem("tensor '%s': %s: a list of numbers expected", name, what)
  end
  local out = {}
  for i, item in ipairs(list) do
    out[i] = read(item)
    if out[i] == nil then
      self:problem("tensor '%s': %s: %s is not allowed%s", name, what, show(item), what == "exponents"
        and (", an integer from -%d to %d expected"):format(MAX_EXPONENT, MAX_EXPONENT) or "")
      out[i] = 0
    end
  end
  return out
end

-- "8" or "16" -> exponent, as width -> exponent.
function Reader:seams(name, seams)
  if seams == nil then return nil end
  local out = {}
  for key, e in pairs(type(seams) == "table" and seams or { [""] = 0 }) do
    local bits = math.tointeger(tonumber(key))
    if (bits == 8 or bits == 16) and math.type(e) == "integer" and math.abs(e) <= MAX_EXPONENT then out[bits] = e
    else self:problem("tensor '%s': seams: an object from widths (8, 16) to exponents expected", name) end
  end
  return out
end

-- What entries of ESP-DL v3 have besides.
function Reader:wide(entry, item)
  if item.bits ~= nil and not BITS[item.bits] then
    self:problem("tensor '%s': bits: 8, 16, 20, 32, 40 or 64 expected, got %s", entry.name, show(item.bits))
  end
  entry.bits, entry.seams = item.bits, self:seams(entry.name, item.seams)
end

function Reader:entry(name, item, facts)
  if type(item) ~= "table" or item == json.null then return self:problem("tensor '%s': an object expected", name) end
  local entry = { name = name, kind = item.kind, form = item.form }
  if item.kind ~= nil and not M.KINDS[item.kind] then self:problem("tensor '%s': no kind %s", name, show(item.kind)) end
  if item.form ~= nil and not M.FORMS[item.form] then self:problem("tensor '%s': no form %s", name, show(item.form)) end
  if facts.runtime == "v3" then self:wide(entry, item) end
  if item.kind == "shape" or item.kind == "float" then
    entry.exponents = {}
  elseif item.scales ~= nil then
    entry.scales = self:list(name, "scales", item.scales, read_scale)
  else
    entry.exponents = self:list(name, "exponents", item.exponents, read_exponent)
  end
  local numbers = entry.scales or entry.exponents
  if M.FORMS[item.form] and item.form ~= "array" and numbers and #numbers > 1 then
    self:problem("tensor '%s': %d numbers in a %s, which holds one", name, #numbers, item.form)
  end
  return entry
end

local function sorted_names(tensors)
  local names = {}
  for name in pairs(tensors) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

-- The names in order: those of "order", which must be all of them once; sorted where there is no such list.
function Reader:order(doc)
  local all, seen = sorted_names(doc.tensors), {}
  if doc.order == nil then return all end
  if type(doc.order) ~= "table" then
    self:problem "order: a list of names expected"
    return all
  end
  local order = {}
  for _, name in ipairs(doc.order) do
    if type(name) ~= "string" or doc.tensors[name] == nil or seen[name] then
      local shown = type(name) == "string" and "'" .. name .. "'" or show(name)
      self:problem("order: %s is no tensor, or comes twice", shown)
    else
      seen[name], order[#order + 1] = true, name
    end
  end
  for _, name in ipairs(all) do
    if not seen[name] then
      self:problem("order: '%s' is missing", name)
      order[#order + 1] = name
    end
  end
  return order
end

function Reader:facts(doc)
  for _, key in ipairs(M.FACTS) do
    local value = doc[key]
    if key == "bits" and value ~= nil and value ~= 8 and value ~= 16 then self:problem "bits: 8 or 16 expected" end
    if key ~= "bits" and key ~= "layers" and value ~= nil and type(value) ~= "string" then
      self:problem("%s: a string expected", key)
    end
  end
  for name, width in pairs(type(doc.layers) == "table" and doc.layers or {}) do
    if not LAYERS[width] then self:problem("layers: '%s': int8, int16 or float expected, got %s", name, show(width)) end
  end
  if doc.layers ~= nil and type(doc.layers) ~= "table" then self:problem "layers: an object expected" end
  return doc
end

-- nil, message, code[, problems]: one problem is the message, several are a list.
function Reader:refusal()
  if self.count == 1 then return nil, self.problems[1], "format" end
  if self.count > MOST_PROBLEMS then
    self.problems[MOST_PROBLEMS + 1] = ("and %d more"):format(self.count - MOST_PROBLEMS)
  end
  return nil, ("the table has %d mistakes"):format(self.count), "format", self.problems
end

local function check_kind(doc)
  if type(doc) ~= "table" or doc.format ~= M.FORMAT or type(doc.tensors) ~= "table" then
    return nil, ('no quantization table: expected "format": "%s" and "tensors"'):format(M.FORMAT), "format"
  end
  if doc.version ~= M.VERSION then
    local text = "table version %s: this is espquant for version %d"
    return nil, text:format(show(doc.version), M.VERSION), "unsupported"
  end
  return true
end

--- Facts and the list of entries of a text; or nil, message, code, and the list of problems where there are several.
function M.decode(bytes)
  local doc, message, code = json.decode(bytes)
  if not doc then return nil, message, code end
  local ok
  ok, message, code = check_kind(doc)
  if not ok then return nil, message, code end
  local self, entries = setmetatable({ problems = {}, count = 0 }, Reader), {}
  local facts = self:facts(doc)
  for i, name in ipairs(self:order(doc)) do entries[i] = self:entry(name, doc.tensors[name], facts) or false end
  if self.count > 0 then return self:refusal() end
  return facts, entries
end

return M
