--- The quantization table: tensor name -> exponents (scale = 2^exponent), in an order that is part of the result.
---
---     local t = qtable.new{ runtime = "v1", mode = "chip", bits = 8, granularity = "per-tensor", method = "minmax" }
---     t:set("input", "input", {-7})
---     t:save("calib.pickle")                 -- the original's file; "calib.json" is ours
---     local u = qtable.load("calib.pickle")  -- nil, message, code when it cannot be read
---
--- An entry is `{name=, kind=, exponents=}`; kind is "input", "activation", "weight", "bias", "alpha" or "shape". An
--- exponent is an integer, or -math.huge, math.huge or NaN for a scale of 0, infinity or NaN. Where a scale is no power
--- of two, the entry has `scales` instead. A pickle tells neither widths nor most kinds: these entries have no `kind`,
--- but a `form`, the Python type they came as and go back as. Entries that share one object in a pickle share one list
--- of numbers here: a table that is read and saved again gives the same bytes.

local core = require "espquant.core"
local json = require "espquant.json"
local pickle = require "espquant.codec.pickle"

local M = {}

local Table = { __name = "espquant.qtable" }
Table.__index = Table

M.FORMAT, M.VERSION = "espquant-table", 1

-- What is known about a table as a whole, all of it optional.
local FACTS = { "runtime", "mode", "target", "bits", "granularity", "method", "isa", "model", "data", "tool" }
local KINDS = { input = true, activation = true, weight = true, bias = true, alpha = true, shape = true }
local FORMS = { float64 = true, array = true, float = true, str = true }
local MAX_EXPONENT = 1023 -- of what a double can hold, as pickles do
local NAN = -(0 / 0) -- without a sign on x86, as from Python

--- An empty table; `facts` are the fields of FACTS that are known.
function M.new(facts)
  local self = { facts = {}, entries = {}, index = {} }
  for _, key in ipairs(FACTS) do self.facts[key] = facts and facts[key] end
  return setmetatable(self, Table)
end

--- True for an object made by `new` or `load`.
function M.is(value)
  return getmetatable(value) == Table
end

-- --- entries ------------------------------------------------------------------------------------------------------

local function is_special(e)
  return e ~= e or e == math.huge or e == -math.huge
end

local function put(self, name, fields)
  local entry = self.index[name]
  if not entry then
    entry = { name = name }
    self.entries[#self.entries + 1], self.index[name] = entry, entry
  end
  entry.kind, entry.form, entry.exponents, entry.scales = fields.kind, fields.form, fields.exponents, fields.scales
  return entry
end

--- Sets the exponents of a tensor; an entry that exists keeps its place in the order. Returns the entry; without
--- exponents, the caller gives it `scales`.
function Table:set(name, kind, exponents)
  if type(name) ~= "string" then error(("set: name of a tensor expected, got %s"):format(type(name)), 2) end
  if not KINDS[kind] then error(("set '%s': no kind '%s'"):format(name, tostring(kind)), 2) end
  if kind ~= "shape" and exponents and #exponents == 0 then error(("set '%s': no exponent"):format(name), 2) end
  for _, e in ipairs(exponents or {}) do
    if not (math.type(e) == "integer" or type(e) == "number" and is_special(e)) then
      error(("set '%s': %s is no exponent"):format(name, tostring(e)), 2)
    end
  end
  return put(self, name, { kind = kind, exponents = exponents })
end

--- The entry of a tensor, or nil.
function Table:get(name)
  return self.index[name]
end

--- The one exponent of a tensor, or nil.
function Table:exponent(name)
  local entry = self.index[name]
  return entry and entry.exponents and entry.exponents[1]
end

local function scale_of(e)
  if e == -math.huge then return 0.0 end
  return is_special(e) and e or 2.0 ^ e
end

--- The list of scales of a tensor, or nil; a shape has none.
function Table:scales(name)
  local entry = self.index[name]
  if not entry or entry.scales then return entry and entry.scales end
  local list = {}
  for i, e in ipairs(entry.exponents or {}) do list[i] = scale_of(e) end
  return list[1] and list
end

-- --- as text ------------------------------------------------------------------------------------------------------

local SHOWN = 8 -- exponents of an entry that are printed

local function entry_text(entry)
  local numbers, list = entry.scales or entry.exponents, {}
  for i = 1, math.min(#numbers, SHOWN) do list[i] = ("%s"):format(numbers[i]) end
  if #numbers > SHOWN then list[SHOWN + 1] = ("... %d in all"):format(#numbers) end
  local what = entry.kind == "shape" and "(shape)" or (entry.scales and "scale " or "2^") .. table.concat(list, " ")
  return ("  %-32s %-10s %s"):format(entry.name:gsub("%c", "?"), entry.kind or "", what)
end

local function facts_text(facts)
  local words = { facts.runtime or "v1", facts.bits and "int" .. facts.bits or "width unknown" }
  for _, key in ipairs { "granularity", "method", "mode" } do words[#words + 1] = facts[key] end
  return table.concat(words, " ")
end

--- All entries as readable text, one line each.
function Table:__tostring()
  local lines = { ("quantization table: %s, %d entries"):format(facts_text(self.facts), #self.entries) }
  for i, entry in ipairs(self.entries) do lines[i + 1] = entry_text(entry) end
  return table.concat(lines, "\n")
end

local function span_text(lo, hi)
  if lo > hi then return "" end
  return lo == hi and ("2^%d"):format(lo) or ("2^%d to 2^%d"):format(lo, hi)
end

--- A few lines: how many tensors of each kind, and the range of their exponents.
function Table:summary()
  local kinds, order = {}, {}
  for _, entry in ipairs(self.entries) do
    local kind = entry.kind or "tensor"
    local s = kinds[kind]
    if not s then
      s = { n = 0, lo = math.huge, hi = -math.huge }
      kinds[kind], order[#order + 1] = s, kind
    end
    s.n = s.n + 1
    for _, e in ipairs(entry.exponents or {}) do
      if not is_special(e) then s.lo, s.hi = math.min(s.lo, e), math.max(s.hi, e) end
    end
  end
  local lines = {}
  for i, kind in ipairs(order) do
    lines[i] = ("%-12s %4d  %s"):format(kind, kinds[kind].n, span_text(kinds[kind].lo, kinds[kind].hi))
  end
  return table.concat(lines, "\n")
end

-- --- the original's pickle ----------------------------------------------------------------------------------------

-- The Python type of an entry; a bias is an array when it has an exponent per channel.
local function form_of(entry, facts)
  if entry.form then return entry.form end
  if entry.kind == "shape" then return "str" end
  if entry.kind == "alpha" then return "float" end
  local array = entry.kind == "weight" or entry.kind == "bias" and facts.granularity == "per-channel"
  return array and "array" or "float64"
end

--- The bytes of the original's file, or nil, message, code.
function Table:to_pickle()
  local list, scales = {}, {}
  for i, entry in ipairs(self.entries) do
    local form, numbers = form_of(entry, self.facts), entry.scales or entry.exponents
    scales[numbers] = scales[numbers] or form == "str" and { "ShapeInfo" } or self:scales(entry.name)
    list[i] = { name = entry.name, kind = form, values = scales[numbers] }
  end
  return pickle.encode_table(list)
end

-- The exponents of scales, nil where one is no power of two.
local function exponents_of(scales)
  local list = {}
  for i, scale in ipairs(scales) do
    list[i] = core.exponent_of_scale(scale)
    if not list[i] then return nil end
  end
  return list
end

-- A Python float is a slope in what the original writes; in a file of floats only, it can be anything.
local function kind_of(item, has_scalars)
  if item.kind == "str" then return "shape" end
  return item.kind == "float" and has_scalars and "alpha" or nil
end

local function from_pickle(bytes)
  local list, message, code = pickle.decode_table(bytes)
  if not list then return nil, message, code end
  local t, has_scalars, read = M.new { runtime = "v1" }, false, {}
  for _, item in ipairs(list) do has_scalars = has_scalars or item.kind == "float64" end
  for _, item in ipairs(list) do
    local scales = item.kind == "str" and {} or item.values
    if read[scales] == nil then read[scales] = exponents_of(scales) or false end
    local exponents = read[scales] or nil
    put(t, item.name, {
      kind = kind_of(item, has_scalars), form = item.kind,
      exponents = exponents, scales = not exponents and scales or nil,
    })
  end
  return t
end

-- --- our JSON -----------------------------------------------------------------------------------------------------

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

local function json_entry(entry, facts)
  local wide = entry.kind == "bias" and facts.granularity == "per-channel"
  return {
    kind = entry.kind, form = not entry.kind and entry.form or nil,
    bits = entry.kind ~= "shape" and (wide and 16 or facts.bits) or nil,
    exponents = entry.exponents and entry.kind ~= "shape" and json_list(entry.exponents) or nil,
    scales = entry.scales and json_list(entry.scales) or nil,
  }
end

--- Our text: the same table gives the same bytes.
function Table:to_json()
  local tensors, order = {}, {}
  for i, entry in ipairs(self.entries) do
    order[i], tensors[entry.name] = entry.name, json.object(json_entry(entry, self.facts))
  end
  local doc = { format = M.FORMAT, version = M.VERSION, tensors = json.object(tensors), order = json.array(order) }
  for _, key in ipairs(FACTS) do doc[key] = self.facts[key] end
  return json.encode(doc, { indent = 1, levels = 2 }) .. "\n"
end

local function fault(...)
  return nil, select("#", ...) > 1 and (...):format(select(2, ...)) or (...), "format"
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
local function read_list(name, what, list, read)
  if type(list) ~= "table" or #list == 0 then
    return fault("tensor '%s': %s: a list of numbers expected", name, what)
  end
  local out = {}
  for i, item in ipairs(list) do
    out[i] = read(item)
    if out[i] == nil then return fault("tensor '%s': %s: %s is not allowed", name, what, tostring(item)) end
  end
  return out
end

-- Fields of an entry from JSON, or nil, message, code.
local function read_entry(name, item)
  if type(item) ~= "table" or item == json.null then return fault("tensor '%s': an object expected", name) end
  local kind, form = item.kind, item.form
  if kind ~= nil and not KINDS[kind] then return fault("tensor '%s': no kind %s", name, tostring(kind)) end
  if form ~= nil and not FORMS[form] then return fault("tensor '%s': no form %s", name, tostring(form)) end
  local fields, message, code = { kind = kind, form = form }, nil, nil
  if item.kind == "shape" then
    fields.exponents = {}
  elseif item.scales ~= nil then
    fields.scales, message, code = read_list(name, "scales", item.scales, read_scale)
  else
    fields.exponents, message, code = read_list(name, "exponents", item.exponents, read_exponent)
  end
  if message then return nil, message, code end
  return fields
end

-- The names in order: those of "order", which must be all of them once; sorted where there is no such list.
local function read_order(doc)
  local order, seen = doc.order, {}
  if order == nil then
    order = {}
    for name in pairs(doc.tensors) do order[#order + 1] = name end
    table.sort(order)
  end
  if type(order) ~= "table" then return fault "order: a list of names expected" end
  for _, name in ipairs(order) do
    if type(name) ~= "string" or doc.tensors[name] == nil or seen[name] then
      return fault("order: %s is no tensor, or comes twice", tostring(name))
    end
    seen[name] = true
  end
  for name in pairs(doc.tensors) do
    if not seen[name] then return fault("order: '%s' is missing", tostring(name)) end
  end
  return order
end

local function check_document(doc)
  if type(doc) ~= "table" or doc.format ~= M.FORMAT or type(doc.tensors) ~= "table" then
    return fault('no quantization table: expected "format": "%s" and "tensors"', M.FORMAT)
  end
  if doc.version ~= M.VERSION then
    local text = "table version %s: this is espquant for version %d"
    return nil, text:format(tostring(doc.version), M.VERSION), "unsupported"
  end
  for _, key in ipairs(FACTS) do
    local value = doc[key]
    if key == "bits" and value ~= nil and value ~= 8 and value ~= 16 then return fault("bits: 8 or 16 expected") end
    if key ~= "bits" and value ~= nil and type(value) ~= "string" then return fault("%s: a string expected", key) end
  end
  return true
end

local function from_json(bytes)
  local doc, message, code = json.decode(bytes)
  if not doc then return nil, message, code end
  local ok
  ok, message, code = check_document(doc)
  if not ok then return nil, message, code end
  local order
  order, message, code = read_order(doc)
  if not order then return nil, message, code end
  local t = M.new(doc)
  for _, name in ipairs(order) do
    local fields
    fields, message, code = read_entry(name, doc.tensors[name])
    if not fields then return nil, message, code end
    put(t, name, fields)
  end
  return t
end

-- --- files --------------------------------------------------------------------------------------------------------

--- Writes the table, whole or not at all; ".json" decides for our form, every other name for the original's pickle.
--- True, or nil, message, code.
function Table:save(path)
  local bytes, message, code
  if path:lower():match "%.json$" then bytes = self:to_json() else bytes, message, code = self:to_pickle() end
  if not bytes then return nil, ("%s: %s"):format(path, message), code end
  return core.write_file(path, bytes)
end

--- Reads a table, or nil, message, code. The content decides: JSON starts with "{", a pickle never does.
function M.load(path)
  local bytes, message, code = core.read_file(path)
  if not bytes then return nil, message, code end
  local t
  if bytes:match "^%s*{" then t, message, code = from_json(bytes) else t, message, code = from_pickle(bytes) end
  if not t then return nil, ("%s: %s"):format(path, message), code end
  return t
end

return M
