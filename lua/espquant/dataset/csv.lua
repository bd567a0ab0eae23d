--- Dataset format: CSV, one image a row, its numbers between separators.
---
---     espquant.dataset("digits.csv", { labels = "digit", shape = { 1, 28, 28 }, scale = 1 / 256 })
---
--- Options: `separator` (one character; default ","; " " for blanks), `header` (true or false; by default the first
--- line is one when it holds no number), `labels` (the column of classes: its name in the header, or its number from 1,
--- or from -1 backwards), `shape` (of the image that a row is). What is wrong is told for all lines at once. A large
--- file is never held in memory: every pass reads it again.

local core = require "espquant.core"
local csv = require "espquant.codec.csv"
local errors = require "espquant.errors"
local fault = require "espquant.codec.fault"

local M = { name = ".csv", options = { separator = "string", header = "boolean" } }

--- Files of more numbers are streamed.
M.MOST_KEPT = 1 << 24
local CHUNK = 1 << 20 -- numbers that are parsed at a time
local MOST_PROBLEMS = 10 -- that are told

--- True for a name that ends in .csv or .tsv.
function M.can_open(path)
  return path:lower():match "%.[ct]sv$" ~= nil
end

local Parser = {}
Parser.__index = Parser

function Parser:problem(line, text, ...)
  self.count = self.count + 1
  if self.count <= MOST_PROBLEMS then self.problems[self.count] = ("line %d"):format(line) .. text:format(...) end
end

-- --- columns ------------------------------------------------------------------------------------------------------

local function is_header(fields)
  for _, field in ipairs(fields) do
    if csv.number(field) then return false end
  end
  return true
end

-- The index of the label's column.
local function label_column(labels, header, columns)
  for i, name in ipairs(header or {}) do
    if name == labels then return i end
  end
  local i = math.tointeger(tonumber(labels))
  if i and i < 0 then i = columns + 1 + i end
  if i and i >= 1 and i <= columns then return i end
  local there = ("there is no header, and columns 1 to %d"):format(columns)
  if header then there = "the header has " .. fault.quote(table.concat(header, ", ")) end
  fault.raise("format", "no column %s; %s", fault.quote(labels), there)
end

local function product(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end

-- From the first line: columns, header, label, shape.
function Parser:begin(line, number)
  local fields, message = csv.split(line, self.separator)
  if not fields then fault.raise("format", "line %d, %s", number, message) end
  local header = self.header
  if header == nil then header = is_header(fields) end
  self.columns, self.names = #fields, header and fields or nil
  self.label = self.wanted_label and label_column(self.wanted_label, self.names, #fields)
  local width = #fields - (self.label and 1 or 0)
  self.shape = self.wanted_shape or { width }
  if width == 0 then fault.raise("format", "no column but the label's") end
  if product(self.shape) ~= width then
    fault.raise("format", "%d numbers in a row%s, the shape %s has %d", width,
      self.label and " beside the label" or "", table.concat(self.shape, "x"), product(self.shape))
  end
end

-- --- rows ---------------------------------------------------------------------------------------------------------

function Parser:label_of(field, line)
  local label = math.tointeger(csv.number(field))
  if not label then self:problem(line, ", column %d: %s is no label, an integer", self.label, fault.quote(field)) end
  return label or 0
end

-- Appends a line's numbers to `list`, its label to `labels`.
function Parser:row(line, number, list, labels)
  local fields, message = csv.split(line, self.separator)
  if not fields then return self:problem(number, ", %s", message) end
  if #fields ~= self.columns then
    return self:problem(number, ": %d fields, expected %d as in the first line", #fields, self.columns)
  end
  local n, label, to_number = #list, self.label, csv.number
  for column, field in ipairs(fields) do
    if column == label then
      labels[#labels + 1] = self:label_of(field, number)
    else
      local x = to_number(field)
      if not x then self:problem(number, ", column %d: %s is no number", column, fault.quote(field)) end
      n = n + 1
      list[n] = x or 0
    end
  end
end

-- At most `most` rows as a list of numbers and one of labels, and how many they are.
function Parser:rows(most)
  local list, labels, count = {}, {}, 0
  while count < most and #list < CHUNK do
    local line, number = self.lines:next()
    if not line then break end
    local is_first = self.columns == 0
    if is_first then self:begin(line, number) end
    if not (is_first and self.names) then
      self:row(line, number, list, labels)
      count = count + 1
    end
  end
  return list, labels, count
end

-- --- the file -----------------------------------------------------------------------------------------------------

local function parser(path, options)
  return setmetatable({
    lines = csv.lines(path), separator = options.separator or path:lower():match "%.tsv$" and "\t" or ",",
    header = options.header, wanted_label = options.labels, wanted_shape = options.shape, columns = 0, count = 0,
    problems = {},
  }, Parser)
end

local function tensor_of(list, shape, count)
  return errors.check(core.tensor_from(list, "float32", { count, table.unpack(shape) }))
end

local function raise_problems(p)
  if p.count == 0 then return end
  local more = p.count > #p.problems and ("\n  ... %d more"):format(p.count - #p.problems) or ""
  fault.raise("format", "%s%s", table.concat(p.problems, "\n  "), more)
end

-- A new pass: a function that returns the next rows as a tensor, nil at the end.
local function stream(path, options)
  return function()
    local p = parser(path, options)
    return function(most)
      local tensor, message, code = fault.catch(function()
        local list, _, count = p:rows(most)
        raise_problems(p) -- the file was read before: it has changed
        return count > 0 and tensor_of(list, p.shape, count)
      end)
      if tensor == nil then errors.raise(code, ("%s: %s"):format(path, message)) end
      return tensor or nil
    end
  end
end

-- Reads all; keeps the tensors of a small file.
local function scan(path, options)
  local p, parts, labels, rows = parser(path, options), {}, {}, 0
  while true do
    local list, some, count = p:rows(math.huge)
    if count == 0 then break end
    rows = rows + count
    table.move(some, 1, #some, #labels + 1, labels)
    if p.count > 0 or rows * p.columns > M.MOST_KEPT then parts = nil end
    if parts then parts[#parts + 1] = tensor_of(list, p.shape, count) end
  end
  raise_problems(p)
  if rows == 0 then fault.raise("format", "it holds no row of numbers") end
  local array = { dtype = "float32", shape = { rows, table.unpack(p.shape) }, start = stream(path, options) }
  if parts then array = { tensor = errors.check(core.concat(parts, 0)) } end
  return { array, labels = p.label and labels or nil }
end

--- The separator, or nil and why it is none.
function M.check_separator(text)
  if #text == 1 and (text == "\t" or not text:find '[%w%c"+.-]') then return text end
  return nil, ("separator: one character such as ';' expected, got '%s'"):format(text)
end

--- The file's rows as one array, and `labels`, a list; nil, message, code.
function M.open(path, options)
  local ok, message = M.check_separator(options.separator or ",")
  if not ok then error("dataset: " .. message, 0) end
  return fault.catch(scan, path, options)
end

return M
