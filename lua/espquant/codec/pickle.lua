--- Python pickles as data: the original tool's quantization tables and calibration sets.
--
-- Reading executes nothing (see `pickle_reader` and `pickle_globals`). What `decode` returns:
--
--    None -> pickle.null     bool, int, float -> the Lua values      str -> string (UTF-8)
--    tuple, list -> { type = "tuple" | "list", first, second, ... }
--    dict        -> { type = "dict", keys = {...}, values = {...} }, in insertion order
--    bytes       -> { type = "bytes", data = "..." }
--    numpy scalar -> { type = "scalar", dtype = "float64", value = 0.5 }
--    numpy array  -> { type = "array", dtype, shape, data, byteorder, fortran }: an array record
--
-- Parts that were shared in Python are shared here; no value contains itself. A Python 2 str comes
-- as a string of its bytes.
--
-- A quantization table is a dict: tensor name -> scale(s), in an order that is part of the result:
--
--    { { name = "input",     kind = "float64", values = {0.0078125} },   numpy float64 scalar
--      { name = "conv_w",    kind = "array",   values = {0.5, 0.25} },   numpy float64 array
--      { name = "slope",     kind = "float",   values = {0.25} },        Python float
--      { name = "shape_out", kind = "str",     values = {"ShapeInfo"} } }
--
-- Entries that were one object in Python have one list of values, and are written as one object again.

local fault = require "espquant.codec.fault"
local globals = require "espquant.codec.pickle_globals"
local reader = require "espquant.codec.pickle_reader"
local record = require "espquant.codec.record"
local writer = require "espquant.codec.pickle_writer"

local M = {}

M.null = globals.null

--- Reads a pickle. `limits` overrides fields of `pickle_reader.limits`.
function M.decode(bytes, limits)
  fault.expect_string(bytes, "pickle.decode")
  return fault.catch(reader.read, bytes, limits)
end

local floating = { float16 = true, float32 = true, float64 = true }

local function array_values(name, array)
  if not floating[array.dtype] or #array.shape > 1 then
    fault.raise("format", "pickle table: entry %s is a %s array of shape %s, expected float64 and one dimension",
      name, array.dtype, record.shape_text(array.shape))
  end
  return record.values(array) or fault.raise("unsupported", "pickle table: entry %s is a %s array", name, array.dtype)
end

local function table_entry(key, value)
  if type(key) ~= "string" then
    fault.raise("format", "pickle table: key %s is no str", fault.quote(key))
  end
  local name, kind = fault.quote(key), globals.type_name(value)
  if kind == "scalar" and floating[value.dtype] then
    return { name = key, kind = "float64", values = { value.value } }
  elseif kind == "array" then
    return { name = key, kind = "array", values = array_values(name, value) }
  elseif kind == "float" or kind == "int" then
    return { name = key, kind = "float", values = { value + 0.0 } }
  elseif kind == "str" then
    return { name = key, kind = "str", values = { value } }
  end
  fault.raise("format", "pickle table: entry %s is a %s, expected a float, numpy float64, array or str", name,
    kind == "scalar" and value.dtype .. " scalar" or kind)
end

local MOST_PROBLEMS = 100 -- that are told

-- All entries; or nil, message, code, and the list of problems where there are several.
local function read_entries(dict)
  local entries, lists, problems, code = {}, {}, {}, nil
  for index, key in ipairs(dict.keys) do
    local value = dict.values[index]
    local entry, message, why = fault.catch(table_entry, key, value)
    if not entry then
      problems[#problems + 1], code = message, code or why
      if #problems == MOST_PROBLEMS then break end
    elseif type(value) == "table" then -- shared in the file, shared here
      lists[value] = lists[value] or entry.values
      entry.values = lists[value]
    end
    entries[index] = entry
  end
  if #problems == 0 then return entries end
  if #problems == 1 then return nil, problems[1], code end
  return nil, ("pickle table: %d entries are no scales"):format(#problems), code, problems
end

local function read_table(bytes, limits)
  local dict = reader.read(bytes, limits)
  if globals.type_name(dict) ~= "dict" then
    fault.raise("format", "pickle table: the file holds a %s, expected a dict", globals.type_name(dict))
  elseif #dict.keys == 0 then
    fault.raise("format", "pickle table: the provided quantization table is empty")
  end
  writer.check_count(#dict.keys)
  return read_entries(dict)
end

--- Reads a quantization table: the list of entries; nil, message, code, problems.
function M.decode_table(bytes, limits)
  fault.expect_string(bytes, "pickle.decode_table")
  return fault.catch(read_table, bytes, limits)
end

--- Writes a quantization table as the original does: protocol 3, loadable by Python with numpy.
-- A malformed entry raises; a name that is no UTF-8 gives `nil, message, "format"`.
function M.encode_table(entries)
  return fault.catch(writer.write, entries)
end

return M
