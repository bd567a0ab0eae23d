--- Files of statistics (.stat): what one part of the data has to say, for `espquant merge`.
---
---     local bytes = stat.encode(statistics)          -- a table of calibration/shard.lua or evaluation/shard.lua
---     local statistics, message, code = stat.decode(bytes, "part3.stat")
---
--- "ESPQSTAT", the format's version (4 bytes), sections, and the SHA-256 of all that (32 bytes). A section is a name and
--- bytes, each with its length before it (4 and 8 bytes, little-endian): "header" (JSON), "part N" (hashes of the images
--- of part N, 32 bytes each), "state TITLE", "model". The same statistics are always the same bytes.

local core = require "espquant.core"
local fault = require "espquant.codec.fault"
local json = require "espquant.json"

local M = {}

local MAGIC, VERSION, HASH = "ESPQSTAT", 1, 32
local HEADER = { "kind", "tool", "isa", "model", "options", "images", "shards", "complete", "ranges", "of", "sums" }
local MAX_SHARDS = 1000000

local function to_bytes(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- --- writing --------------------------------------------------------------------------------------------------------

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- The bytes of statistics.
function M.encode(statistics)
  local header, out = {}, { MAGIC, ("<I4"):pack(VERSION) }
  local function add(name, bytes) out[#out + 1] = ("<s4s8"):pack(name, bytes) end
  for _, key in ipairs(HEADER) do
    local value = statistics[key]
    header[key] = type(value) == "table" and json.object(value) or value
  end
  add("header", json.encode(json.object(header)))
  for _, number in ipairs(sorted_keys(statistics.parts)) do add("part " .. number, statistics.parts[number]) end
  for _, title in ipairs(sorted_keys(statistics.states)) do add("state " .. title, statistics.states[title]) end
  if statistics.encoded then add("model", statistics.encoded) end
  local bytes = table.concat(out)
  return bytes .. to_bytes(core.sha256(bytes))
end

-- --- reading --------------------------------------------------------------------------------------------------------

local function take(bytes, at, size_of_length, stop, where)
  local behind = at + size_of_length
  if behind > stop + 1 then fault.raise("format", "%s: a section is cut off", where) end
  local length = ("<I" .. size_of_length):unpack(bytes, at)
  if length < 0 or length > stop + 1 - behind then fault.raise("format", "%s: a section is cut off", where) end
  return bytes:sub(behind, behind + length - 1), behind + length
end

local function sections_of(bytes, where)
  local stop, at, sections = #bytes - HASH, #MAGIC + 5, {}
  while at <= stop do
    local name, section
    name, at = take(bytes, at, 4, stop, where)
    section, at = take(bytes, at, 8, stop, where)
    if sections[name] then fault.raise("format", "%s: section %s comes twice", where, fault.quote(name)) end
    sections[name] = section
  end
  return sections
end

local function is_object(value) return type(value) == "table" and #value == 0 end
local function is_count(value) return math.type(value) == "integer" and value >= 1 end
local function is_text(value) return type(value) == "string" end

local function is_number(value) return type(value) == "number" and value >= 0 and value < math.huge end

local function has_numbers(sums, names)
  for _, name in ipairs(names) do
    if not is_number(sums[name]) then return false end
  end
  return true
end

-- What an evaluation counts (evaluation_text.lua).
local function is_sums(sums)
  if not is_object(sums) or not has_numbers(sums, { "images", "right", "float_right", "equal", "seconds",
    "float_seconds" }) then return false end
  for _, class in ipairs(type(sums.classes) == "table" and sums.classes or {}) do
    if not is_object(class) or not is_text(class.name) or not has_numbers(class, { "images", "right", "float_right" })
    then return false end
  end
  return sums.classes == nil or type(sums.classes) == "table"
end

local CHECKS = {
  kind = function(v) return v == "calibration" or v == "evaluation" end, tool = is_text, isa = is_text,
  model = is_text, options = is_object, images = is_count,
  shards = function(v) return is_count(v) and v <= MAX_SHARDS end,
  complete = function(v) return type(v) == "boolean" end,
  ranges = function(v) return v == nil or is_object(v) and is_text(v.hash) and is_text(v.data) end,
  of = function(v) return v == nil or is_object(v) and is_text(v.table) and is_text(v.labels) end,
  sums = function(v) return v == nil or is_sums(v) end,
}

local function header_of(text, where)
  local header = text and fault.check(where .. ": header", json.decode(text))
  if not is_object(header) then fault.raise("format", "%s: it has no header", where) end
  local plain = {}
  for key, is_good in pairs(CHECKS) do
    if not is_good(header[key]) then
      fault.raise("format", "%s: header: %s is %s", where, key, fault.quote(tostring(header[key])))
    end
    plain[key] = header[key]
  end
  if (plain.kind == "evaluation") ~= (plain.sums ~= nil and plain.of ~= nil) then
    fault.raise("format", "%s: header: sums are those of an evaluation, and of nothing else", where)
  end
  return plain
end

local function take_part(statistics, number, hashes, where)
  local at = math.tointeger(tonumber(number))
  if not at or at < 1 or at > statistics.shards or #hashes % HASH ~= 0 then
    fault.raise("format", "%s: part %s of %d shards, %d bytes", where, fault.quote(number), statistics.shards, #hashes)
  end
  statistics.parts[at] = hashes
end

local function decode(bytes, where)
  if bytes:sub(1, #MAGIC) ~= MAGIC or #bytes < #MAGIC + 4 + HASH then
    fault.raise("format", "%s: no file of statistics (espquant stat writes them)", where)
  end
  local version = ("<I4"):unpack(bytes, #MAGIC + 1)
  if version ~= VERSION then
    fault.raise("unsupported", "%s: its format is version %d, expected %d", where, version, VERSION)
  end
  if to_bytes(core.sha256(bytes:sub(1, -HASH - 1))) ~= bytes:sub(-HASH) then
    fault.raise("format", "%s: its checksum is not that of its bytes: it is damaged or cut off", where)
  end
  local sections = sections_of(bytes, where)
  local statistics = header_of(sections.header, where)
  statistics.name, statistics.parts, statistics.states, statistics.encoded = where, {}, {}, sections.model
  for name, section in pairs(sections) do
    local sort, rest = name:match "^(%l+) (.+)$"
    if sort == "part" then take_part(statistics, rest, section, where)
    elseif sort == "state" then statistics.states[rest] = section end
  end
  return statistics
end

--- The statistics in a file's bytes, `name` being what messages call it; or nil, message, code.
function M.decode(bytes, name)
  fault.expect_string(bytes, "stat.decode")
  return fault.catch(decode, bytes, name or "statistics")
end

return M
