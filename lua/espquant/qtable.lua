--- The quantization table: tensor name -> exponents (scale = 2^exponent), in an order that is part of the result.
---
---     local t = qtable.new{ runtime = "v1", mode = "chip", bits = 8, granularity = "per-tensor", method = "minmax" }
---     t:set("input", "input", {-7})
---     t:save("calib.pickle")                 -- the original's file; "calib.json" is ours
---     local u = qtable.load("calib.pickle")  -- nil, message, code when it cannot be read
---
--- An entry is `{name=, kind=, exponents=}`; kind is "input", "activation", "weight", "bias", "alpha" or "shape", and
--- in tables of ESP-DL v3, which are JSON only, also "constant", or "float" for a tensor of float32 that integer layers
--- read. Entries of v3 have `bits`, and `seams` (width -> exponent) where layers of another width read the tensor. An
--- exponent is an integer, or -math.huge, math.huge or NaN for a scale of 0, infinity or NaN. Where a scale is no power
--- of two, the entry has `scales` instead. A pickle tells neither widths nor most kinds: these entries have no `kind`,
--- but a `form`, the Python type they came as and go back as. Entries that share one object in a pickle share one list
--- of numbers here: a table that is read and saved again gives the same bytes.

local core = require "espquant.core"
local file_kind = require "espquant.file_kind"
local pickle = require "espquant.codec.pickle"
local qtable_json = require "espquant.qtable_json"

local M = {}

local Table = { __name = "espquant.qtable" }
Table.__index = Table

local FACTS, KINDS = qtable_json.FACTS, qtable_json.KINDS
local MAX_BYTES = 1 << 28 -- of a file that is read

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
  entry.bits, entry.seams = fields.bits, fields.seams
  return entry
end

--- Sets the exponents of a tensor; an entry that exists keeps its place in the order. Returns the entry; without
--- exponents, the caller gives it `scales`.
function Table:set(name, kind, exponents)
  if type(name) ~= "string" then error(("set: name of a tensor expected, got %s"):format(type(name)), 2) end
  if not KINDS[kind] then error(("set '%s': no kind '%s'"):format(name, tostring(kind)), 2) end
  if kind ~= "shape" and kind ~= "float" and exponents and #exponents == 0 then
    error(("set '%s': no exponent"):format(name), 2)
  end
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
  local numbers, list, more = entry.scales or entry.exponents, {}, {}
  for i = 1, math.min(#numbers, SHOWN) do list[i] = ("%s"):format(numbers[i]) end
  if #numbers > SHOWN then list[SHOWN + 1] = ("... %d in all"):format(#numbers) end
  local what = (entry.scales and "scale " or "2^") .. table.concat(list, " ")
  if entry.kind == "shape" or entry.kind == "float" then what = ("(%s)"):format(entry.kind) end
  if entry.bits then more[1] = ("int%d"):format(entry.bits) end
  for _, bits in ipairs { 8, 16 } do
    local e = entry.seams and entry.seams[bits]
    if e then more[#more + 1] = ("read as int%d at 2^%d"):format(bits, e) end
  end
  if #more > 0 then what = ("%s (%s)"):format(what, table.concat(more, ", ")) end
  return ("  %-32s %-10s %s"):format(entry.name:gsub("%c", "?"), entry.kind or "", what)
end

local function facts_text(facts)
  local words = { facts.runtime or "v1", facts.bits and "int" .. facts.bits or "width unknown" }
  for _, key in ipairs { "granularity", "method", "mode", "observer" } do words[#words + 1] = facts[key] end
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

-- The Python type of an entry; a bias is an array when it has an exponent per channel, and so is what has several.
local function form_of(entry, facts)
  if entry.form then return entry.form end
  if entry.kind == "shape" then return "str" end
  if #(entry.scales or entry.exponents) > 1 then return "array" end
  if entry.kind == "alpha" then return "float" end
  local array = entry.kind == "weight" or entry.kind == "bias" and facts.granularity == "per-channel"
  return array and "array" or "float64"
end

--- The bytes of the original's file, or nil, message, code.
function Table:to_pickle()
  if self.facts.runtime == "v3" then
    return nil, "a table of ESP-DL v3 is written as JSON: give it a name that ends in .json", "unsupported"
  end
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
  local list, message, code, problems = pickle.decode_table(bytes)
  if not list then return nil, message, code, problems end
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

--- Our text: the same table gives the same bytes.
function Table:to_json()
  return qtable_json.encode(self.facts, self.entries)
end

local function from_json(bytes)
  local facts, entries, code, problems = qtable_json.decode(bytes)
  if not facts then return nil, entries, code, problems end
  local t = M.new(facts)
  for _, entry in ipairs(entries) do put(t, entry.name, entry) end
  return t
end

-- --- files --------------------------------------------------------------------------------------------------------

--- The recipe for the integers of each input, a line each: in a pickle, which has no kinds, the first entry is the
--- input.
function Table:input_recipe()
  local bits, lines = self.facts.bits, {}
  local range = bits and ("[%d, %d]"):format(-1 << bits - 1, (1 << bits - 1) - 1) or "the integers of the width"
  for i, entry in ipairs(self.entries) do
    local e = entry.exponents and entry.exponents[1]
    if (entry.kind == "input" or i == 1 and entry.form == "float64") and math.type(e) == "integer" then
      lines[#lines + 1] = ("%s: integer = round(x * 2^%d), halves to even, clipped to %s; x = integer * 2^%d"):format(
        entry.name:gsub("%c", "?"), -e, range, e)
    end
  end
  return table.concat(lines, "\n")
end

--- Writes the table, whole or not at all; ".json" decides for our form, every other name for the original's pickle.
--- True, or nil, message, code.
function Table:save(path)
  local bytes, message, code
  if path:lower():match "%.json$" then bytes = self:to_json() else bytes, message, code = self:to_pickle() end
  if not bytes then return nil, ("%s: %s"):format(path, message), code end
  return core.write_file(path, bytes)
end

--- Reads a table, or nil, message, code, problems. The content decides: JSON starts with "{", a pickle never does.
function M.load(path)
  local bytes, message, code = core.read_file(path, MAX_BYTES)
  if not bytes then return nil, message, code end
  local read = bytes:match "^%s*{" and from_json or from_pickle
  local t, reason, kind, problems = read(bytes)
  if not t then
    local text, is_other = file_kind.unlike(path, ("%s: %s"):format(path, reason), "a pickle", "JSON")
    return nil, text, is_other and "format" or kind, problems
  end
  return t
end

return M
