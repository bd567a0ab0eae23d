--- NumPy's .npy array file, versions 1.0, 2.0 and 3.0.
--
--    0   93 'NUMPY'            magic, 6 bytes
--    6   major, minor          1 byte each
--    8   header length         version 1: 2 bytes, 2 and 3: 4 bytes, little-endian
--    ..  header                a Python dict literal, padded with blanks, ending in a newline:
--                              {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
--    ..  elements              to the end of the file
--
-- The header is read by a parser that knows this dict and nothing else; nothing is evaluated.

local fault = require "espquant.codec.fault"
local record = require "espquant.codec.record"

local M = {}

local MAGIC = "\x93NUMPY"
--- Longest header that is read: a plain array needs about 100 bytes.
M.MAX_HEADER = 10000

local Cursor = {}
Cursor.__index = Cursor

--- What `pattern` matches after blanks at the cursor, or nil and the cursor stays.
function Cursor:take(pattern)
  local _, stop, capture = self.text:find("^[ \t\r\n]*(" .. pattern .. ")", self.pos)
  if stop then
    self.pos = stop + 1
  end
  return capture
end

function Cursor:expect(pattern, what)
  local token = self:take(pattern)
  if not token then
    local got = self.text:match("^[ \t\r\n]*(.?.?.?.?.?.?.?.?.?.?.?.?)", self.pos)
    fault.raise("format", "npy: header byte %d: expected %s, got %s",
      self.pos - 1, what, got == "" and "the end of the header" or fault.quote(got))
  end
  return token
end

function Cursor:string(what)
  local text = self:take "'[^'\\\n]*'" or self:expect('"[^"\\\n]*"', what)
  return text:sub(2, -2)
end

local function read_dimension(cursor)
  local digits = cursor:expect("%-?%d+", "a dimension")
  cursor:take("L") -- Python 2 wrote long integers so
  local size = math.tointeger(tonumber(digits))
  if not size then
    fault.raise("limit", "npy: dimension %s is too large", fault.quote(digits))
  end
  return size
end

local function read_shape(cursor)
  local shape, comma = {}, false
  cursor:expect("%(", "a tuple as shape")
  while not cursor:take("%)") do
    if #shape > 0 and not comma then
      cursor:expect(",", "a comma between dimensions")
    end
    shape[#shape + 1] = read_dimension(cursor)
    comma = cursor:take(",") ~= nil
  end
  if #shape == 1 and not comma then
    fault.raise("format", "npy: shape is a number, expected a tuple such as (%d,)", shape[1])
  end
  return shape
end

local function read_descr(cursor)
  if cursor:take("[%[%(]") then
    fault.raise("unsupported", "npy: structured element type; save one plain array per field")
  end
  return cursor:string("an element type such as '<f4'")
end

local readers = {
  descr = read_descr,
  fortran_order = function(cursor)
    return cursor:expect("%a+", "True or False")
  end,
  shape = read_shape,
}

local function read_header(text)
  local cursor, fields = setmetatable({ text = text, pos = 1 }, Cursor), {}
  cursor:expect("{", "'{'")
  while not cursor:take("}") do
    local key = cursor:string("a key")
    if not readers[key] or fields[key] ~= nil then
      fault.raise("format", "npy: %s header key %s, expected descr, fortran_order and shape once each",
        fields[key] ~= nil and "repeated" or "unknown", fault.quote(key))
    end
    cursor:expect(":", "':'")
    fields[key] = readers[key](cursor)
    if not cursor:take(",") then
      cursor:expect("}", "',' or '}'")
      break
    end
  end
  if cursor:take "[^ \t\r\n]" then
    fault.raise("format", "npy: header byte %d: expected nothing after the dict", cursor.pos - 2)
  end
  for _, key in ipairs { "descr", "fortran_order", "shape" } do
    if fields[key] == nil then
      fault.raise("format", "npy: the header has no '%s'", key)
    end
  end
  return fields
end

local function split_descr(descr)
  local order, code = descr:match("^([<>|=]?)(.*)$")
  local dtype = record.dtype("npy", code)
  if order == "|" and record.itemsize[dtype] > 1 then
    fault.raise("format", "npy: element type %s has no byte order, expected '<%s' or '>%s'",
      fault.quote(descr), code, code)
  end
  return dtype, order
end

local function locate_header(bytes)
  if bytes:sub(1, 6) ~= MAGIC then
    fault.raise("format", "npy: expected a file that begins with 93 'NUMPY', got %s", fault.quote(bytes:sub(1, 6)))
  elseif #bytes < 8 then
    fault.raise("format", "npy: the file ends after %d bytes, in its version", #bytes)
  end
  local major, minor = bytes:byte(7, 8)
  if major < 1 or major > 3 or minor ~= 0 then
    fault.raise("unsupported", "npy: version %d.%d, expected 1.0, 2.0 or 3.0", major, minor)
  end
  local width = major == 1 and 2 or 4
  if #bytes < 8 + width then
    fault.raise("format", "npy: the file ends after %d bytes, in its header length", #bytes)
  end
  local length = string.unpack("<I" .. width, bytes, 9)
  if length > M.MAX_HEADER then
    fault.raise("limit", "npy: header of %d bytes, expected at most %d", length, M.MAX_HEADER)
  elseif #bytes < 8 + width + length then
    fault.raise("format", "npy: header of %d bytes, the file has only %d more", length, #bytes - 8 - width)
  end
  return 9 + width, 8 + width + length
end

local function parse(bytes)
  local first, last = locate_header(bytes)
  local fields = read_header(bytes:sub(first, last))
  local dtype, order = split_descr(fields.descr)
  if fields.fortran_order ~= "True" and fields.fortran_order ~= "False" then
    fault.raise("format", "npy: fortran_order is %s, expected True or False", fault.quote(fields.fortran_order))
  end
  return record.new("npy", dtype, fields.shape, bytes:sub(last + 1), order, fields.fortran_order == "True")
end

--- Reads a .npy file's bytes into an array record; `nil, message, code` if they are none.
function M.decode(bytes)
  fault.expect_string(bytes, "npy.decode")
  return fault.catch(parse, bytes)
end

--- The bytes that stand before the elements of `array` (an array record) in a .npy file.
function M.header(array)
  local code = record.code_of[array.dtype]
  if not code then
    error(("npy.header: unknown dtype '%s'"):format(tostring(array.dtype)), 2)
  end
  local order = record.itemsize[array.dtype] == 1 and "|" or array.byteorder or "<"
  local text = ("{'descr': '%s%s', 'fortran_order': %s, 'shape': %s, }"):format(
    order, code, array.fortran and "True" or "False", record.shape_text(array.shape))
  local padding = -(#MAGIC + 4 + #text + 1) % 64 -- elements start at a multiple of 64, as numpy aligns them
  text = text .. (" "):rep(padding) .. "\n"
  return MAGIC .. "\1\0" .. string.pack("<s2", text)
end

--- Writes an array record as a .npy file (version 1.0). A record that contradicts itself raises.
function M.encode(array)
  local header = M.header(array)
  local checked, message = fault.catch(record.new, "npy.encode", array.dtype, array.shape, array.data)
  if not checked then
    error(message, 2)
  end
  return header .. array.data
end

return M
