--- Writes a quantization table as Python's pickler would, protocol 3.
--
-- Every object that can recur is given the next memo number when first written (BINPUT) and recalled
-- later (BINGET): the two numpy names, the dtype, the byte string b'b' and the text of Shape entries
-- recur, and so does a numpy value that stands under several names: entries of one kind that have one and the
-- same list of values. The bytes are those that Python writes.

local fault = require "espquant.codec.fault"

local M = {}

--- The most entries of a table, both ways: what is written can be read, within `pickle_reader.limits`.
M.MAX_ENTRIES = 100000

local BATCH = 1000 -- items between MARK and SETITEMS

local Writer = {}
Writer.__index = Writer

function Writer:put(...)
  for index = 1, select("#", ...) do
    self.out[#self.out + 1] = (select(index, ...))
  end
end

--- Numbers the object just written, under `key` if it can recur.
function Writer:memoize(key)
  local number = self.memo_count
  self.memo_count = number + 1
  self:put(number < 256 and string.pack("<c1B", "q", number) or string.pack("<c1I4", "r", number))
  if key then
    self.memo[key] = number
  end
end

--- Recalls the object under `key`; false if it has not been written yet.
function Writer:recall(key)
  local number = self.memo[key]
  if number then
    self:put(number < 256 and string.pack("<c1B", "h", number) or string.pack("<c1I4", "j", number))
  end
  return number ~= nil
end

function Writer:global(name)
  if not self:recall(name) then
    self:put("c", (name:gsub(" ", "\n")), "\n")
    self:memoize(name)
  end
end

function Writer:text(text, key)
  if not (key and self:recall(key)) then
    self:put("X", string.pack("<s4", text))
    self:memoize(key)
  end
end

function Writer:integer(value)
  if value >= 0 and value < 256 then
    self:put("K", string.pack("B", value))
  elseif value >= 0 and value < 65536 then
    self:put("M", string.pack("<I2", value))
  else
    self:put("J", string.pack("<i4", value))
  end
end

function Writer:bytes(data, key)
  if not (key and self:recall(key)) then
    self:put(#data < 256 and "C" .. string.pack("s1", data) or "B" .. string.pack("<s4", data))
    self:memoize(key)
  end
end

function Writer:tuple1(value)
  self:integer(value)
  self:put "\x85"
  self:memoize()
end

function Writer:dtype()
  if self:recall "dtype" then
    return
  end
  self:global "numpy dtype"
  self:text "f8"
  self:put("\x89", "\x88", "\x87") -- False, True: not aligned, copied
  self:memoize()
  self:put "R"
  self:memoize "dtype"
  self:put "("
  self:integer(3)
  self:text "<"
  self:put("N", "N", "N")
  self:integer(-1)
  self:integer(-1)
  self:integer(0)
  self:put "t"
  self:memoize()
  self:put "b"
end

local kinds = {}

-- Recalls the numpy value of an entry that had the same list; else the key to memoize it under.
local function recall_shared(writer, entry)
  local key = ("%s %p"):format(entry.kind, entry.values)
  return writer:recall(key), key
end

function kinds.float64(writer, entry)
  local done, key = recall_shared(writer, entry)
  if done then return end
  writer:global "numpy.core.multiarray scalar"
  writer:dtype()
  writer:bytes(string.pack("<d", entry.values[1]))
  writer:put "\x86"
  writer:memoize()
  writer:put "R"
  writer:memoize(key)
end

function kinds.array(writer, entry)
  local done, key = recall_shared(writer, entry)
  if done then return end
  local data = {}
  for index, value in ipairs(entry.values) do
    data[index] = string.pack("<d", value)
  end
  writer:global "numpy.core.multiarray _reconstruct"
  writer:global "numpy ndarray"
  writer:tuple1(0)
  writer:bytes("b", "b'b'")
  writer:put "\x87"
  writer:memoize()
  writer:put "R"
  writer:memoize(key)
  writer:put "("
  writer:integer(1)
  writer:tuple1(#data)
  writer:dtype()
  writer:put "\x89" -- not Fortran order
  writer:bytes(table.concat(data))
  writer:put "t"
  writer:memoize()
  writer:put "b"
end

function kinds.float(writer, entry)
  writer:put("G", string.pack(">d", entry.values[1]))
end

function kinds.str(writer, entry)
  writer:text(entry.values[1], "text " .. entry.values[1])
end

local function check_entry(entry, index, seen)
  local wanted = entry.kind == "str" and "string" or "number"
  if not kinds[entry.kind] or type(entry.name) ~= "string" then
    error(("pickle.encode_table: entry %d has no name or kind"):format(index), 0)
  elseif seen[entry.name] then
    error(("pickle.encode_table: two entries are named %s"):format(fault.quote(entry.name)), 0)
  elseif entry.kind ~= "array" and #entry.values ~= 1 then
    error(("pickle.encode_table: entry %d has %d values, expected 1"):format(index, #entry.values), 0)
  end
  for _, value in ipairs(entry.values) do
    if type(value) ~= wanted then
      error(("pickle.encode_table: entry %d holds a %s, expected %s"):format(index, type(value), wanted), 0)
    elseif wanted == "string" and not utf8.len(value) then
      fault.raise("format", "pickle table: the text of entry %d is no valid UTF-8", index)
    end
  end
  if not utf8.len(entry.name) then
    fault.raise("format", "pickle table: name %s is no valid UTF-8", fault.quote(entry.name))
  end
  seen[entry.name] = true
end

local function write_entry(writer, entry)
  writer:text(entry.name)
  kinds[entry.kind](writer, entry)
end

local function write_items(writer, entries)
  if #entries == 1 then
    write_entry(writer, entries[1])
    writer:put "s"
    return
  end
  local first, count = 1
  repeat -- Python ends with a batch that is not full, even an empty one
    count = math.min(BATCH, #entries - first + 1)
    writer:put "("
    for index = first, first + count - 1 do
      write_entry(writer, entries[index])
    end
    writer:put "u"
    first = first + count
  until count < BATCH
end

--- Raises a fault for a table of more entries than can be written and read.
function M.check_count(count)
  if count > M.MAX_ENTRIES then
    fault.raise("limit", "pickle table: %d entries, the limit is %d", count, M.MAX_ENTRIES)
  end
end

--- The pickle's bytes; see `espquant.codec.pickle`.
function M.write(entries)
  M.check_count(#entries)
  local writer, seen = setmetatable({ out = {}, memo = {}, memo_count = 0 }, Writer), {}
  for index, entry in ipairs(entries) do
    check_entry(entry, index, seen)
  end
  writer:put("\x80\3", "}")
  writer:memoize()
  if #entries > 0 then
    write_items(writer, entries)
  end
  writer:put "."
  return table.concat(writer.out)
end

return M
