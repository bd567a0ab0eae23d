--- Rows of numbers as text: fields between separators, one row a line.
--
--    "label","a","b"        a header: names, no number
--    3,0.5,-1e-3            numbers with a decimal point; blanks around them and quotes do not matter
--
-- A quoted field ends on its line; "" within it is a quote. The separator " " stands for any number of blanks and tabs.
-- Lines end in LF or CR LF; empty lines are left out, a byte order mark too. The file is read part by part.

local core = require "espquant.core"
local fault = require "espquant.codec.fault"

local M = {}

--- The longest line that is read: two million numbers.
M.MAX_LINE = 16 << 20
local PART = 1 << 18 -- bytes that are read at a time

local Lines = {}
Lines.__index = Lines

--- The lines of the file at `path`.
function M.lines(path)
  return setmetatable({ path = path, text = "", pos = 1, offset = 0, number = 0 }, Lines)
end

-- The text up to the next LF, or to the end of the file; nil after the last.
function Lines:take()
  while true do
    local stop = self.text:find("\n", self.pos, true)
    local first = self.pos
    if stop then
      self.pos = stop + 1
      return self.text:sub(first, stop - 1)
    end
    local rest = self.text:sub(first)
    if #rest > M.MAX_LINE then
      fault.raise("limit", "line %d: more than %d bytes", self.number + 1, M.MAX_LINE)
    end
    local part, message, code = core.read_part(self.path, self.offset, PART)
    if not part then fault.raise(code, "%s", message) end
    self.offset = self.offset + #part
    self.text, self.pos = rest .. part, 1
    if part == "" then
      self.text = ""
      return rest ~= "" and rest or nil
    end
  end
end

--- The next line that is not empty, and its number; nil at the end. Raises a fault.
function Lines:next()
  while true do
    local line = self:take()
    if not line then return nil end
    self.number = self.number + 1
    if self.number == 1 then line = line:gsub("^\xEF\xBB\xBF", "") end
    if line:byte(-1) == 13 then line = line:sub(1, -2) end
    if line:find "[^ \t]" then return line, self.number end
  end
end

local function trim(text)
  return text:match "^[ \t]*(.-)[ \t]*$"
end

-- The quoted field that begins at `at`, and where it ends; nil where it does not.
local function quoted(line, at)
  local stop = at
  repeat
    stop = line:find('"', stop + 1, true)
    if not stop then return nil end
    local doubled = line:byte(stop + 1) == 34
    stop = doubled and stop + 1 or stop
  until not doubled
  return line:sub(at + 1, stop - 1):gsub('""', '"'), stop
end

-- Fields of which some are quoted.
local function split_quoted(line, separator)
  local fields, at = {}, 1
  repeat
    local start = line:match('^[ \t]*()"', at)
    local stop, field
    if start then
      field, stop = quoted(line, start)
      if not stop then return nil, ("column %d: its quote does not end"):format(#fields + 1) end
      stop = line:match("^[ \t]*()", stop + 1)
      if stop <= #line and line:sub(stop, stop) ~= separator and separator ~= " " then
        return nil, ("column %d: text after its quote"):format(#fields + 1)
      end
    else
      stop = line:find(separator, at, true) or #line + 1
      field = trim(line:sub(at, stop - 1))
    end
    fields[#fields + 1] = field
    at = separator == " " and line:match("^[ \t]*()", stop) or stop + 1
  until stop > #line
  return fields
end

--- The fields of a line, without quotes and blanks around them; or nil and what is wrong.
function M.split(line, separator)
  if line:find('"', 1, true) then return split_quoted(line, separator) end
  local fields, n = {}, 0
  if separator == " " then
    for field in line:gmatch "[^ \t]+" do fields[#fields + 1] = field end
    return fields
  end
  local escaped = "%" .. separator
  for field in (line .. separator):gmatch(("([^%s]*)%s"):format(escaped, escaped)) do
    n = n + 1
    fields[n] = field
  end
  return fields
end

--- The number that a field is, or nil: decimal digits, point and exponent, nothing else.
function M.number(field)
  return not field:find "[^%d.eE+%- \t]" and tonumber(field) or nil
end

return M
