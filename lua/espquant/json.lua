--- JSON whose bytes depend on the value alone: sorted keys, one form per number, no date.
--
--    json.encode(value)                            one line
--    json.encode(value, {indent = 1})              every item on its own line
--    json.encode(value, {indent = 1, levels = 2})  containers below the second level on one line
--
-- With `levels = 2` a quantization table has one tensor per line:
--
--    {
--     "bits": 8,
--     "tensors": {
--      "conv1.weight": {"bits": 8, "exponents": [-7, -6], "kind": "weight"},
--      "conv1_out": {"bits": 8, "exponents": [-4], "kind": "activation"}
--     }
--    }
--
-- A table is an array if it was made by `json.array` or has items 1..n only, an object if it was made
-- by `json.object` or has string keys only; an empty table must say which. Reading is lua-cjson's job.

local cjson = require "cjson"

local M = {}

--- JSON's null, in both directions (a table cannot hold nil).
M.null = cjson.null

local MAX_NESTING = 100
local Array, Object = { __name = "json.array" }, { __name = "json.object" }

--- Marks `items` as a JSON array, empty or not.
function M.array(items)
  return setmetatable(items or {}, Array)
end

--- Marks `fields` as a JSON object, empty or not.
function M.object(fields)
  return setmetatable(fields or {}, Object)
end

--- Writes one text: `out` collects its pieces, `trail` the keys that lead to the current value.
local Encoder = {}
Encoder.__index = Encoder

--- Raises, naming the place: "json.encode: $.tensors.conv1[3]: ...".
function Encoder:misuse(format, ...)
  local place = { "$" }
  for index, key in ipairs(self.trail) do
    place[index + 1] = type(key) == "string" and "." .. key or ("[%d]"):format(key)
  end
  error(("json.encode: %s: " .. format):format(table.concat(place), ...), 0)
end

--- The shortest of 15, 16 or 17 digits that reads back as `value`; integral values have no ".0".
function Encoder:number(value)
  if math.type(value) == "integer" then
    return ("%d"):format(value)
  elseif value ~= value or value == math.huge or value == -math.huge then
    self:misuse("%s has no JSON form", tostring(value))
  end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then
      return (text:gsub(",", ".")) -- the locale's decimal comma, where the host has set one
    end
  end
end

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape_byte(char)
  return escapes[char] or ("\\u%04x"):format(char:byte())
end

--- A quoted string. A byte that is no part of valid UTF-8 is written as the character of its
-- number (\xFF as \u00ff), so that the text is always valid and nothing is lost to the eye.
local function string_text(text)
  local parts, pos = {}, 1
  while not utf8.len(text, pos) do
    local _, bad = utf8.len(text, pos)
    parts[#parts + 1] = text:sub(pos, bad - 1):gsub('[\0-\x1F"\\\x7F]', escape_byte)
    parts[#parts + 1] = escape_byte(text:sub(bad, bad))
    pos = bad + 1
  end
  parts[#parts + 1] = text:sub(pos):gsub('[\0-\x1F"\\\x7F]', escape_byte)
  return '"' .. table.concat(parts) .. '"'
end

--- The keys of an object, sorted by bytes.
function Encoder:sorted_keys(value)
  local keys = {}
  for key in pairs(value) do
    if type(key) ~= "string" then
      self:misuse("the key %s of an object is no string", tostring(key))
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- Refuses a list with holes, or a table of both sorts of keys.
function Encoder:check_sequence(value)
  for key in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #value then
      self:misuse("the key %s of an array is no index of its %d items", tostring(key), #value)
    end
  end
end

--- Tells array from object: by mark, else by content.
function Encoder:is_array(value)
  local mark = getmetatable(value)
  if mark == Array or mark ~= Object and value[1] ~= nil then
    self:check_sequence(value)
    return true
  elseif mark ~= Object and next(value) == nil then
    self:misuse("an empty table: use json.array() or json.object()")
  end
  return false
end

-- Adds a piece of text.
function Encoder:put(text)
  self.out[#self.out + 1] = text
end

--- Writes the items of `value` under `keys` (nil: an array's) between brackets, broken into lines or not.
function Encoder:container(value, keys)
  local count, depth = keys and #keys or #value, #self.trail + 1
  local broken = self.indent and depth <= self.levels and count > 0
  local margin = broken and "\n" .. self.indent:rep(depth) or ""
  local separator = broken and "," .. margin or ", "
  self:put((keys and "{" or "[") .. margin)
  for index = 1, count do
    local key = keys and keys[index] or index
    self:put(index > 1 and separator or "")
    self:put(keys and string_text(key) .. ": " or "")
    self.trail[depth] = key
    self:value(value[key])
  end
  self.trail[depth] = nil
  self:put((broken and "\n" .. self.indent:rep(depth - 1) or "") .. (keys and "}" or "]"))
end

-- Writes an array or an object.
function Encoder:table(value)
  if #self.trail >= MAX_NESTING then
    self:misuse("nested deeper than %d, or contains itself", MAX_NESTING)
  end
  self:container(value, not self:is_array(value) and self:sorted_keys(value) or nil)
end

-- Writes any value.
function Encoder:value(value)
  local kind = type(value)
  if value == M.null then
    self:put "null"
  elseif kind == "table" then
    self:table(value)
  elseif kind == "string" then
    self:put(string_text(value))
  elseif kind == "number" then
    self:put(self:number(value))
  elseif kind == "boolean" then
    self:put(tostring(value))
  else
    self:misuse("a %s has no JSON form", kind)
  end
end

--- The JSON text of `value`, without final newline. `options.indent`: blanks per level (default:
-- everything on one line); `options.levels`: levels that are broken into lines (default: all).
-- What JSON cannot hold (NaN, functions, mixed keys, cycles) raises, naming its place.
function M.encode(value, options)
  options = options or {}
  local encoder = setmetatable({
    indent = options.indent and (" "):rep(options.indent), levels = options.levels or math.huge,
    out = {}, trail = {},
  }, Encoder)
  encoder:value(value)
  return table.concat(encoder.out)
end

--- Defaults of `decode`'s limits.
M.limits = { size = 64 << 20, depth = 64 }

--- The first key of `text`, which is valid JSON, for which `visit(key, open)` is true, or nil. `open` is a list of one
-- table for each container around the key, the last one its own object.
local function find_key(text, unescape, visit)
  local open, pos = {}, 1
  while true do
    local at, _, token = text:find('(["{}%[%]])', pos)
    if not at then
      return nil
    end
    pos = at + 1
    if token == '"' then
      local stop = at
      repeat
        stop = text:find('["\\]', stop + 1)
        local escaped = text:sub(stop, stop) == "\\"
        stop = escaped and stop + 1 or stop
      until not escaped
      pos = stop + 1
      if text:find("^[ \t\r\n]*:", pos) then
        local key = unescape(text:sub(at, stop))
        if visit(key, open) then
          return key
        end
      end
    elseif token == "{" or token == "[" then
      open[#open + 1] = {}
    else
      open[#open] = nil
    end
  end
end

--- The key that comes twice in one object, or nil: cjson keeps the last.
local function find_repeated_key(text, unescape)
  return find_key(text, unescape, function(key, open)
    local keys = open[#open]
    local repeated = keys[key]
    keys[key] = true
    return repeated
  end)
end

--- The keys of the object that `text` is, in their order; `text` is what `json.decode` has read without an error.
function M.keys(text)
  local list = {}
  find_key(text, cjson.decode, function(key, open)
    if #open == 1 then
      list[#list + 1] = key
    end
  end)
  return list
end

local MAX_EXACT <const> = 2.0 ^ 53

--- cjson gives every number as a float: integral ones become integers again.
local function restore_integers(value)
  if type(value) == "number" then
    local exact = value >= -MAX_EXACT and value <= MAX_EXACT
    return exact and math.tointeger(value) or value
  elseif type(value) == "table" then
    for key, item in pairs(value) do
      value[key] = restore_integers(item)
    end
  end
  return value
end

--- Reads JSON text. `limits.size` (bytes) and `limits.depth` (nesting) override `json.limits`.
-- Integral numbers up to 2^53 are integers, null is `json.null`; a repeated key is an error.
function M.decode(text, limits)
  if type(text) ~= "string" then
    error(("bad argument to json.decode (string expected, got %s)"):format(type(text)), 2)
  end
  local size = limits and limits.size or M.limits.size
  if #text > size then
    return nil, ("json: %d bytes, the limit is %d"):format(#text, size), "limit"
  end
  local reader = cjson.new()
  reader.decode_invalid_numbers(false)
  reader.decode_max_depth(limits and limits.depth or M.limits.depth)
  local ok, value = pcall(reader.decode, text)
  if not ok then
    if value == "not enough memory" then error(value, 0) end
    return nil, "json: " .. value, value:find("too many nested", 1, true) and "limit" or "format"
  end
  local repeated = find_repeated_key(text, reader.decode)
  if repeated then
    return nil, ("json: the key %s comes twice"):format(string_text(repeated:sub(1, 60))), "format"
  end
  return restore_integers(value)
end

return M
