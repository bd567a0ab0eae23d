--- The quantization table: tensor name -> exponents (scale = 2^exponent), in an order that is part of the result.
---
---     local t = qtable.new{ runtime = "v1", mode = "chip", bits = 8, granularity = "per-tensor", method = "minmax" }
---     t:set("input", "input", {-7})
---     t:save("calib.pickle")                 -- the original's file; "calib.json" is ours
---     local u = qtable.load("calib.pickle")  -- nil, message, code when it cannot be read
---
--- An entry is `{name=, kind=, exponents=}`; kind is "input", "activation", "weight", "bias", "alpha" or "shape". An
--- exponent is an integer; -math.huge stands for a scale of 0, math.huge and NaN for those scales. A pickle's scale
--- that is no power of two is kept in `scales`. A pickle does not tell kinds nor widths: `kind` is nil then.

local core = require "espquant.core"
local json = require "espquant.json"
local pickle = require "espquant.codec.pickle"

local M = {}

local Table = { __name = "espquant.qtable" }
Table.__index = Table

M.FORMAT, M.VERSION = "espquant-table", 1
local FACTS = { "runtime", "mode", "target", "bits", "granularity", "method", "isa", "model", "data", "tool" }

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

--- Sets the exponents of a tensor; an entry that exists keeps its place in the order.
function Table:set(name, kind, exponents)
  local entry = self.index[name]
  if not entry then
    entry = { name = name }
    self.entries[#self.entries + 1], self.index[name] = entry, entry
  end
  entry.kind, entry.exponents, entry.scales = kind, exponents, nil
  return entry
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

local function exponent_text(e)
  if e == -math.huge then return "-inf" end
  return tostring(e)
end

local function entry_text(entry)
  local list = {}
  for i, e in ipairs(entry.exponents or entry.scales or {}) do
    if i > 8 then list[i] = ("... %d in all"):format(#(entry.exponents or entry.scales)) break end
    list[i] = exponent_text(e)
  end
  local what = entry.kind == "shape" and "(shape)" or (entry.scales and "scale " or "2^") .. table.concat(list, " ")
  return ("  %-32s %-10s %s"):format(entry.name, entry.kind or "", what)
end

--- All entries as readable text, one line each.
function Table:__tostring()
  local f, lines = self.facts, {}
  lines[1] = ("quantization table: %s, %d entries"):format(table.concat({
    f.runtime or "v1", f.bits and "int" .. f.bits or "width unknown", f.granularity, f.method, f.mode,
  }, " "), #self.entries)
  for i, entry in ipairs(self.entries) do lines[i + 1] = entry_text(entry) end
  return table.concat(lines, "\n")
end

--- A few lines: how many tensors of each kind, and the range of their exponents.
function Table:summary()
  local kinds, order = {}, {}
  for _, entry in ipairs(self.entries) do
    local kind = entry.kind or "tensor"
    local s = kinds[kind]
    if not s then s = { n = 0, lo = math.huge, hi = -math.huge } kinds[kind], order[#order + 1] = s, kind end
    s.n = s.n + 1
    for _, e in ipairs(entry.exponents or {}) do
      if e > -math.huge then s.lo, s.hi = math.min(s.lo, e), math.max(s.hi, e) end
    end
  end
  local lines = {}
  for i, kind in ipairs(order) do
    local s = kinds[kind]
    local span = s.lo > s.hi and "" or s.lo == s.hi and ("2^%d"):format(s.lo) or ("2^%d to 2^%d"):format(s.lo, s.hi)
    lines[i] = ("%-12s %4d  %s"):format(kind, s.n, span)
  end
  return table.concat(lines, "\n")
end

-- --- the original's pickle ----------------------------------------------------------------------------------------

local function scale_of(e)
  if e == -math.huge then return 0.0 elseif e == math.huge then return math.huge elseif e ~= e then return e end
  return 2.0 ^ e
end

local function exponent_of(scale)
  if scale == 0 then return -math.huge elseif scale == math.huge or scale ~= scale then return scale end
  return core.exponent_of_scale(scale)
end

-- How the original writes each kind; a bias is an array when it has an exponent per channel.
local function pickle_kind(self, entry)
  if entry.kind == "weight" then return "array" end
  if entry.kind == "alpha" then return "float" end
  if entry.kind == "bias" and self.facts.granularity == "per-channel" then return "array" end
  return "float64"
end

function Table:to_pickle()
  local list = {}
  for i, entry in ipairs(self.entries) do
    local values = entry.scales
    if entry.kind == "shape" then
      list[i] = { name = entry.name, kind = "str", values = { "ShapeInfo" } }
    else
      if not values then
        values = {}
        for k, e in ipairs(entry.exponents) do values[k] = scale_of(e) end
      end
      list[i] = { name = entry.name, kind = entry.pickle_kind or pickle_kind(self, entry), values = values }
    end
  end
  return pickle.encode_table(list)
end

local PICKLE_KINDS = { str = "shape", float = "alpha", array = nil, float64 = nil }

local function from_pickle(bytes)
  local list, message, code = pickle.decode_table(bytes)
  if not list then return nil, message, code end
  local t = M.new { runtime = "v1" }
  for _, item in ipairs(list) do
    local exponents = {}
    for k, scale in ipairs(item.kind == "str" and {} or item.values) do
      exponents[k] = exponent_of(scale)
      if exponents[k] == nil then exponents = nil break end
    end
    local entry = t:set(item.name, PICKLE_KINDS[item.kind], exponents)
    entry.pickle_kind = item.kind
    if not exponents then entry.scales = item.values end
  end
  return t
end

-- --- our JSON -----------------------------------------------------------------------------------------------------

local function json_exponents(list)
  local out = {}
  for i, e in ipairs(list) do out[i] = (e > -math.huge and e < math.huge) and e or json.null end
  return json.array(out)
end

function Table:to_json()
  local tensors, order = {}, {}
  for i, entry in ipairs(self.entries) do
    order[i] = entry.name
    tensors[entry.name] = {
      kind = entry.kind, bits = self.facts.bits,
      exponents = entry.exponents and entry.kind ~= "shape" and json_exponents(entry.exponents) or nil,
      scales = entry.scales and json.array(entry.scales) or nil,
    }
  end
  local doc = { format = M.FORMAT, version = M.VERSION, tensors = json.object(tensors), order = json.array(order) }
  for _, key in ipairs(FACTS) do doc[key] = self.facts[key] end
  return json.encode(doc, { indent = 1, levels = 2 }) .. "\n"
end

local function json_entry(t, name, item)
  if type(item) ~= "table" then return nil, ("tensor '%s' is no object"):format(name), "format" end
  local exponents = {}
  for i, e in ipairs(item.exponents or {}) do
    if e == json.null then e = -math.huge end
    if math.type(e) ~= "integer" and e ~= -math.huge then
      return nil, ("tensor '%s': exponent %s is no integer"):format(name, tostring(e)), "format"
    end
    if e ~= -math.huge and math.abs(e) > 1000 then
      return nil, ("tensor '%s': exponent %d is outside of -1000..1000"):format(name, e), "format"
    end
    exponents[i] = e
  end
  local entry = t:set(name, item.kind, exponents)
  if item.scales then entry.exponents, entry.scales = nil, item.scales end
  return true
end

local function from_json(bytes)
  local doc, message, code = json.decode(bytes)
  if not doc then return nil, message, code end
  if type(doc) ~= "table" or doc.format ~= M.FORMAT or type(doc.tensors) ~= "table" then
    return nil, ('no quantization table: expected "format": "%s"'):format(M.FORMAT), "format"
  end
  if doc.version ~= M.VERSION then
    return nil, ("table version %s: this is espquant for version %d"):format(tostring(doc.version), M.VERSION), "unsupported"
  end
  local t, order = M.new(doc), doc.order
  if type(order) ~= "table" then
    order = {}
    for name in pairs(doc.tensors) do order[#order + 1] = name end
    table.sort(order)
  end
  for _, name in ipairs(order) do
    local ok, why, status = json_entry(t, name, doc.tensors[name])
    if not ok then return nil, why, status end
  end
  return t
end

-- --- files --------------------------------------------------------------------------------------------------------

--- Writes the table; ".json" decides for our form, every other name for the original's pickle.
function Table:save(path)
  local bytes, message, code
  if path:lower():match "%.json$" then bytes = self:to_json()
  else bytes, message, code = self:to_pickle() end
  if not bytes then return nil, ("%s: %s"):format(path, message), code end
  return core.write_file(path, bytes)
end

--- Reads a table; the content decides: JSON starts with "{", a pickle never does.
function M.load(path)
  local bytes, message, code = core.read_file(path)
  if not bytes then return nil, message, code end
  local t
  if bytes:match "^%s*{" then t, message, code = from_json(bytes) else t, message, code = from_pickle(bytes) end
  if not t then return nil, ("%s: %s"):format(path, message), code end
  return t
end

return M
