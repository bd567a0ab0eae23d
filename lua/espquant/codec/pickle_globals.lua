--- The names a pickle may call, and what we do instead of calling them.
--
-- Six names rebuild numpy values; each is a function here that checks its arguments and returns plain
-- data. No other name exists for the reader, so nothing from a pickle is ever executed.
--
--    numpy dtype                      (code, align, copy), BUILD (3, order, None, None, None, -1, -1, 0)
--    numpy.core.multiarray scalar     (dtype, bytes)
--    numpy.core.multiarray _reconstruct (ndarray, (0,), b'b'), BUILD (1, shape, dtype, fortran, bytes)
--    numpy.core.numeric _frombuffer   (bytes, dtype, shape, 'C' or 'F'): protocol 5 writes arrays so
--    numpy ndarray                    only as the first argument of _reconstruct
--    _codecs encode                   (text, 'latin1'): protocols 0 to 2 write bytes so
--
-- `numpy._core` is numpy 2's spelling of `numpy.core`.

local fault = require "espquant.codec.fault"
local record = require "espquant.codec.record"

local M = {}

--- Python's None.
M.null = setmetatable({}, { __tostring = function() return "None" end })

local function fail(where, code, format, ...)
  fault.raise(code, "%s: " .. format, where, ...)
end

--- A short name of a value's Python type, for messages.
function M.type_name(value)
  if value == M.null then
    return "None"
  elseif type(value) == "table" then
    return value.type
  end
  return ({ string = "str", boolean = "bool" })[type(value)] or (math.type(value) == "integer" and "int" or "float")
end

local function is(value, kind)
  return type(value) == "table" and value.type == kind
end

--- The string in a bytes object; protocol 2 files of Python 2 have str there.
local function raw_bytes(value)
  if is(value, "bytes") then
    return value.data
  end
  return type(value) == "string" and value or nil
end

local function check_arguments(where, name, arguments, ...)
  local wanted = { ... }
  for index, kind in ipairs(wanted) do
    local value = arguments[index]
    local matches = kind == "any" or kind == "data" and raw_bytes(value)
      or value ~= nil and M.type_name(value) == kind
    if not matches then
      fail(where, "format", "%s: argument %d: expected %s, got %s", name, index, kind,
        value == nil and "nothing" or M.type_name(value))
    end
  end
end

local function make_dtype(where, arguments)
  check_arguments(where, "numpy dtype", arguments, "str")
  local order, code = arguments[1]:match "^([<>|=]?)(.*)$"
  return { type = "dtype", dtype = record.dtype(where, code), order = order == ">" and ">" or "<" }
end

local function make_scalar(where, arguments)
  check_arguments(where, "numpy scalar", arguments, "dtype", "data")
  local dtype = arguments[1]
  local one = record.new(where, dtype.dtype, {}, raw_bytes(arguments[2]), dtype.order)
  local values = record.values(one)
  if not values then
    fail(where, "unsupported", "a %s scalar with bytes '%s' has no Lua number", dtype.dtype,
      (one.data:gsub(".", function(char) return ("%02x"):format(char:byte()) end)))
  end
  return { type = "scalar", dtype = dtype.dtype, value = values[1] }
end

local function make_empty_array(where, arguments)
  check_arguments(where, "numpy _reconstruct", arguments, "global", "tuple", "data")
  if arguments[1].name ~= "numpy ndarray" then
    fail(where, "unsupported", "_reconstruct of %s, expected numpy ndarray", arguments[1].name)
  end
  return { type = "array" }
end

local function read_shape(where, tuple)
  local shape = {}
  for axis, size in ipairs(tuple) do
    if math.type(size) ~= "integer" then
      fail(where, "format", "dimension %d is a %s, expected int", axis - 1, M.type_name(size))
    end
    shape[axis] = size
  end
  return shape
end

local function fill_array(where, array, dtype, tuple, data, fortran)
  local filled = record.new(where, dtype.dtype, read_shape(where, tuple), data, dtype.order, fortran)
  for key, value in pairs(filled) do
    array[key] = value
  end
  return array
end

local function make_array_from_buffer(where, arguments)
  check_arguments(where, "numpy _frombuffer", arguments, "data", "dtype", "tuple", "str")
  local order = arguments[4]
  if order ~= "C" and order ~= "F" then
    fail(where, "unsupported", "array order %s, expected 'C' or 'F'", fault.quote(order))
  end
  return fill_array(where, { type = "array" }, arguments[2], arguments[3], raw_bytes(arguments[1]), order == "F")
end

local latin1 = {} -- the UTF-8 form of U+0080 to U+00FF, to its byte
for byte = 0x80, 0xFF do
  latin1[utf8.char(byte)] = string.char(byte)
end

local function encode_latin1(where, arguments, budget)
  check_arguments(where, "_codecs encode", arguments, "str", "str")
  local text, encoding = arguments[1], arguments[2]
  if encoding ~= "latin1" and encoding ~= "latin-1" then
    fail(where, "unsupported", "_codecs encode to %s, expected 'latin1'", fault.quote(encoding))
  elseif text:find "[\xC4-\xFF]" then
    fail(where, "format", "_codecs encode: a character beyond U+00FF is no byte")
  end
  budget(#text)
  return { type = "bytes", data = (text:gsub("[\xC2\xC3][\x80-\xBF]", latin1)) }
end

--- "module name" -> function(where, arguments, budget) -> value. `budget(n)` raises when copies of n
-- more bytes would exceed what the file can account for.
M.callable = {
  ["numpy dtype"] = make_dtype,
  ["numpy.core.multiarray scalar"] = make_scalar,
  ["numpy._core.multiarray scalar"] = make_scalar,
  ["numpy.core.multiarray _reconstruct"] = make_empty_array,
  ["numpy._core.multiarray _reconstruct"] = make_empty_array,
  ["numpy.core.numeric _frombuffer"] = make_array_from_buffer,
  ["numpy._core.numeric _frombuffer"] = make_array_from_buffer,
  ["numpy ndarray"] = function(where)
    fail(where, "unsupported", "numpy ndarray may only be an argument of _reconstruct")
  end,
  ["_codecs encode"] = encode_latin1,
}

local function build_dtype(where, dtype, state)
  local order = state[2]
  if dtype.built or type(order) ~= "string" or not order:find "^[<>|=]$" then
    fail(where, "format", "numpy dtype: a state without byte order, or a second state")
  end
  for index = 3, 5 do -- subarray, field names, fields
    if state[index] ~= M.null then
      fail(where, "unsupported", "structured element type; save one plain array per field")
    end
  end
  dtype.order, dtype.built = order == ">" and ">" or "<", true
end

local function build_array(where, array, state)
  local first = math.type(state[1]) == "integer" and 2 or 1 -- version 0 had no version number
  local tuple, dtype, fortran, data = table.unpack(state, first, first + 3)
  if array.dtype then
    fail(where, "format", "numpy ndarray: a second state")
  elseif not (is(tuple, "tuple") and is(dtype, "dtype") and raw_bytes(data)) then
    fail(where, "format", "numpy ndarray: state is not (1, shape tuple, dtype, fortran, bytes)")
  end
  fill_array(where, array, dtype, tuple, raw_bytes(data), fortran == true or fortran == 1)
end

local builders = { dtype = build_dtype, array = build_array }

--- BUILD: gives a dtype or an array its state.
function M.build(where, object, state)
  local builder = type(object) == "table" and builders[object.type]
  if not builder then
    fail(where, "unsupported", "state for a %s, expected numpy dtype or ndarray", M.type_name(object))
  elseif not is(state, "tuple") then
    fail(where, "format", "state is a %s, expected tuple", M.type_name(state))
  end
  builder(where, object, state)
end

return M
