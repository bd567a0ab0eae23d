--- The stack machine under the pickle reader: input, stack, marks, memo and their bounds.
-- Every method either does what it says or raises a fault that names the opcode and its offset.

local fault = require "espquant.codec.fault"
local globals = require "espquant.codec.pickle_globals"

local type_name = globals.type_name

local Machine = {}
Machine.__index = Machine

function Machine.new(bytes, limits)
  return setmetatable({
    bytes = bytes, pos = 1, limits = limits,
    at = 0, opcode = "start", -- the opcode being executed, for messages
    stack = {}, top = 0, marks = {}, memo = {}, memo_count = 0,
    containers = 0, copied = 0,
    index = {}, -- dict -> key -> position
  }, Machine)
end

--- "pickle: byte 79: REDUCE", the beginning of every message.
function Machine:where()
  return ("pickle: byte %d: %s"):format(self.at, self.opcode)
end

function Machine:fail(code, format, ...)
  fault.raise(code, "%s: " .. format, self:where(), ...)
end

function Machine:limit(name, value)
  if value > self.limits[name] then
    self:fail("limit", "%s exceed the limit of %d", name, self.limits[name])
  end
end

--- The next `size` bytes.
function Machine:take_bytes(size)
  local pos, left = self.pos, #self.bytes - self.pos + 1
  if size < 0 or size > left then
    self:fail("format", "an argument of 0x%X bytes, the file has only %d more", size, left)
  end
  self.pos = pos + size
  return self.bytes:sub(pos, pos + size - 1)
end

--- The next number, `size` bytes in string.unpack's `format`.
function Machine:take_number(format, size)
  return (string.unpack(format, self:take_bytes(size)))
end

--- The rest of the line, without its newline.
function Machine:take_line()
  local stop = self.bytes:find("\n", self.pos, true)
  if not stop then
    self:fail("format", "its argument has no end")
  end
  local line = self.bytes:sub(self.pos, stop - 1)
  self.pos = stop + 1
  return line
end

function Machine:push(value)
  self.top = self.top + 1
  self:limit("stack", self.top)
  self.stack[self.top] = value
end

--- Number of values above the innermost open mark.
function Machine:reachable()
  return self.top - (self.marks[#self.marks] or 0)
end

function Machine:pop()
  if self:reachable() < 1 then
    self:fail("format", "the stack is empty")
  end
  local value = self.stack[self.top]
  self.stack[self.top] = nil
  self.top = self.top - 1
  return value
end

--- The value on top, which stays; `kind` is the Python type it must have, if any.
function Machine:peek(kind)
  local found = self:reachable() > 0
  local value = self.stack[self.top]
  if not found or kind and type_name(value) ~= kind then
    self:fail("format", "expected %s on the stack, got %s", kind or "a value", found and type_name(value) or "nothing")
  end
  return value
end

--- Moves the top `count` values to the end of `items`, which it returns.
function Machine:move(count, items)
  if self:reachable() < count then
    self:fail("format", "expected %d values on the stack, got %d", count, self:reachable())
  end
  local first = self.top - count + 1
  table.move(self.stack, first, self.top, #items + 1, items)
  for index = first, self.top do
    self.stack[index] = nil
  end
  self.top = first - 1
  return items
end

function Machine:mark()
  self.marks[#self.marks + 1] = self.top
  self:limit("marks", #self.marks)
end

--- Forgets the innermost mark; returns the number of values above it.
function Machine:unmark()
  if #self.marks == 0 then
    self:fail("format", "no mark on the stack")
  end
  local count = self:reachable()
  self.marks[#self.marks] = nil
  return count
end

function Machine:count_container()
  self.containers = self.containers + 1
  self:limit("containers", self.containers)
end

--- A new value that takes memory of its own.
function Machine:new_value(kind)
  self:count_container()
  return { type = kind }
end

function Machine:new_dict()
  local dict = self:new_value "dict"
  dict.keys, dict.values = {}, {}
  self.index[dict] = {}
  return dict
end

--- Puts key, value, key, value ... into the dict; an overwritten entry keeps its position.
function Machine:set_items(dict, items)
  if #items % 2 ~= 0 then
    self:fail("format", "a dict key without value")
  end
  local index = self.index[dict]
  for at = 1, #items, 2 do
    local key = items[at]
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      self:fail("unsupported", "a dict key is a %s, expected str or int", type_name(key))
    end
    local position = index[key] or #dict.keys + 1
    index[key], dict.keys[position], dict.values[position] = position, key, items[at + 1]
  end
end

function Machine:memoize(key)
  local value = self:peek()
  if self.memo[key] == nil then
    self.memo_count = self.memo_count + 1
    self:limit("memo", self.memo_count)
  end
  self.memo[key] = value
end

function Machine:recall(key)
  local value = self.memo[key]
  if value == nil then
    self:fail("format", "memo %d is empty", key)
  end
  self:push(value)
end

function Machine:push_global(module, name)
  local full = module .. " " .. name
  if not globals.callable[full] then
    self:fail("unsupported", "the name %s is not allowed: only numpy's array, scalar and dtype are, "
      .. "and nothing is executed", fault.quote(full))
  end
  local value = self:new_value "global"
  value.name = full
  self:push(value)
end

--- Accounts for a copy of `size` bytes: all copies together are at most twice the file.
function Machine:spend(size)
  self.copied = self.copied + size
  if self.copied > 2 * #self.bytes then
    self:fail("limit", "more bytes are converted than the file holds")
  end
end

--- REDUCE: replaces a name and its arguments by what our function for that name returns.
function Machine:reduce()
  local arguments, callee = self:pop(), self:pop()
  if type_name(callee) ~= "global" or type_name(arguments) ~= "tuple" then
    self:fail("unsupported", "a call of a %s with a %s, expected a name with a tuple", type_name(callee),
      type_name(arguments))
  end
  self:count_container()
  local rebuild = globals.callable[callee.name]
  self:push(rebuild(self:where(), arguments, function(size) self:spend(size) end))
end

--- BUILD: gives the value below its state.
function Machine:build()
  local state = self:pop()
  globals.build(self:where(), self:peek(), state)
end

return Machine
