--- The written-out arguments of pickle protocol 0: one line of text each.
-- Every function returns the value, or nil if the line is none.

local M = {}

local LONGEST_NUMBER = 400 -- a longer line is no number we can hold

--- "12", "-3", "12L" (Python 2): an integer; nil and "limit" if it exceeds 64 bits.
function M.integer(line)
  if #line > LONGEST_NUMBER or not line:find "^[+-]?%d+L?$" then
    return nil, "format"
  end
  local value = math.tointeger(tonumber((line:gsub("L$", ""))))
  return value, "limit"
end

local specials = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

--- "0.5", "1e-05", "nan", "-inf": a float.
function M.float(line)
  if specials[line] then
    return specials[line]
  end
  local plain = #line <= LONGEST_NUMBER and line:find "^[+-]?[%d.]+[eE]?[+-]?%d*$"
  local value = plain and tonumber(line)
  return value and value + 0.0 or nil
end

local latin1_to_utf8 = {}
for byte = 0x80, 0xFF do
  latin1_to_utf8[string.char(byte)] = utf8.char(byte)
end

local function unicode_escape(kind, digits, more)
  if kind == "u" then
    return utf8.char(tonumber(digits, 16)) .. more
  end
  local code = #more == 4 and tonumber(digits .. more, 16)
  return code and code <= 0x10FFFF and utf8.char(code) or nil
end

--- Python's raw-unicode-escape (Latin-1 bytes, \uXXXX, \UXXXXXXXX) as UTF-8.
function M.unicode(line)
  line = line:gsub("[\x80-\xFF]", latin1_to_utf8)
  return (line:gsub("\\([uU])(%x%x%x%x)(%x?%x?%x?%x?)", unicode_escape))
end

local escapes = {
  n = "\n", r = "\r", t = "\t", a = "\a", b = "\b", f = "\f", v = "\v",
  ["\\"] = "\\", ["'"] = "'", ['"'] = '"',
}

local function byte_escape(letter, digits)
  if letter == "x" then
    return #digits == 2 and string.char(tonumber(digits, 16)) or nil
  end
  return escapes[letter] and escapes[letter] .. digits or nil
end

--- Python's repr of a byte string: quotes and escapes.
function M.quoted(line)
  local _, body = line:match "^(['\"])(.*)%1$"
  return body and (body:gsub("\\(.)(%x?%x?)", byte_escape))
end

return M
