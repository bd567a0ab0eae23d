--- The pickle reader: protocols 0 to 5, cut down to data.
--
-- A pickle is a program for a stack machine: one opcode byte, its argument, and so on up to STOP.
-- The opcodes in `opcodes` below are all there are; what they can name is in `pickle_globals`. Any
-- other opcode ends the reading with its name and offset. `espquant.codec.pickle` documents the
-- values that come out.

local fault = require "espquant.codec.fault"
local globals = require "espquant.codec.pickle_globals"
local Machine = require "espquant.codec.pickle_machine"
local text = require "espquant.codec.pickle_text"

local M = {}

--- Bounds: stack, memo, open marks, containers (so that memory is a small multiple of the file),
-- nesting, and the size of the value when every shared part is counted as often as it is met (so
-- that a consumer may walk it without fear). A table of `pickle_writer.MAX_ENTRIES` needs at most 10 memo numbers an
-- entry.
M.limits = { stack = 1 << 20, memo = 1 << 20, marks = 64, containers = 1 << 20, depth = 32, items = 1 << 22 }

local null = globals.null

local function push_value(value)
  return function(machine) machine:push(value) end
end

local function push_number(format, size)
  return function(machine) machine:push(machine:take_number(format, size)) end
end

--- Length and bytes, taken as they are: Python 2's str.
local function push_string(format, size)
  return function(machine) machine:push(machine:take_bytes(machine:take_number(format, size))) end
end

local function push_utf8(machine, value)
  if not utf8.len(value) then
    machine:fail("format", "text that is no valid UTF-8")
  end
  machine:push(value)
end

local function push_text(format, size)
  return function(machine) push_utf8(machine, machine:take_bytes(machine:take_number(format, size))) end
end

local function push_bytes(format, size)
  return function(machine)
    local value = machine:new_value "bytes"
    value.data = machine:take_bytes(machine:take_number(format, size))
    machine:push(value)
  end
end

local function push_tuple(count)
  return function(machine) machine:push(machine:move(count, machine:new_value "tuple")) end
end

local function push_long(machine, size)
  if size > 8 then
    machine:fail("limit", "an integer of %d bytes, expected at most 8", size)
  end
  machine:push(size == 0 and 0 or machine:take_number("<i" .. size, size))
end

--- The value that `convert` reads from the line, which is `what`.
local function read_line(machine, convert, what)
  local line = machine:take_line()
  local value, code = convert(line)
  if value == nil then
    machine:fail(code or "format", "%s is no %s", fault.quote(line), what)
  end
  return value
end

local function memo_key(machine)
  return read_line(machine, text.integer, "memo index")
end

local actions = {}

function actions.proto(machine)
  local version = machine:take_number("B", 1)
  if version > 5 then
    machine:fail("unsupported", "protocol %d, expected 0 to 5", version)
  end
end

function actions.frame(machine)
  local size, left = machine:take_number("<i8", 8), #machine.bytes - machine.pos + 1
  if size < 0 or size > left then
    machine:fail("format", "a frame of 0x%X bytes, the file has only %d more", size, left)
  end
end

function actions.int(machine)
  local flag = machine.bytes:match("^0([01])\n", machine.pos)
  if flag then -- protocol 0 and 1 write booleans so
    machine.pos = machine.pos + 3
    machine:push(flag == "1")
  else
    machine:push(read_line(machine, text.integer, "64-bit integer"))
  end
end

function actions.appends(machine)
  local count = machine:unmark()
  local items = machine:move(count, {})
  table.move(items, 1, count, #machine:peek "list" + 1, machine:peek "list")
end

function actions.append(machine)
  local item = machine:pop()
  local list = machine:peek "list"
  list[#list + 1] = item
end

function actions.dict(machine)
  local items = machine:move(machine:unmark(), {})
  local dict = machine:new_dict()
  machine:set_items(dict, items)
  machine:push(dict)
end

function actions.setitem(machine)
  local items = machine:move(2, {})
  machine:set_items(machine:peek "dict", items)
end

function actions.setitems(machine)
  local items = machine:move(machine:unmark(), {})
  machine:set_items(machine:peek "dict", items)
end

local function push_marked(kind)
  return function(machine) machine:push(machine:move(machine:unmark(), machine:new_value(kind))) end
end

function actions.global(machine)
  local module = machine:take_line()
  machine:push_global(module, machine:take_line())
end

function actions.stack_global(machine)
  local name, module = machine:pop(), machine:pop()
  if type(name) ~= "string" or type(module) ~= "string" then
    machine:fail("format", "the name is no pair of str")
  end
  machine:push_global(module, name)
end

--- Opcode byte -> name, action. STOP is the loop's.
local opcodes = {
  ["\x80"] = { "PROTO", actions.proto },
  ["\x95"] = { "FRAME", actions.frame },
  ["("] = { "MARK", Machine.mark },
  N = { "NONE", push_value(null) },
  ["\x88"] = { "NEWTRUE", push_value(true) },
  ["\x89"] = { "NEWFALSE", push_value(false) },
  I = { "INT", actions.int },
  L = { "LONG", function(machine) machine:push(read_line(machine, text.integer, "64-bit integer")) end },
  J = { "BININT", push_number("<i4", 4) },
  K = { "BININT1", push_number("B", 1) },
  M = { "BININT2", push_number("<I2", 2) },
  ["\x8A"] = { "LONG1", function(machine) push_long(machine, machine:take_number("B", 1)) end },
  ["\x8B"] = { "LONG4", function(machine) push_long(machine, machine:take_number("<I4", 4)) end },
  F = { "FLOAT", function(machine) machine:push(read_line(machine, text.float, "number")) end },
  G = { "BINFLOAT", push_number(">d", 8) },
  S = { "STRING", function(machine) machine:push(read_line(machine, text.quoted, "quoted text")) end },
  T = { "BINSTRING", push_string("<i4", 4) },
  U = { "SHORT_BINSTRING", push_string("B", 1) },
  V = { "UNICODE", function(machine) push_utf8(machine, read_line(machine, text.unicode, "text")) end },
  X = { "BINUNICODE", push_text("<I4", 4) },
  ["\x8C"] = { "SHORT_BINUNICODE", push_text("B", 1) },
  ["\x8D"] = { "BINUNICODE8", push_text("<i8", 8) },
  B = { "BINBYTES", push_bytes("<I4", 4) },
  C = { "SHORT_BINBYTES", push_bytes("B", 1) },
  ["\x8E"] = { "BINBYTES8", push_bytes("<i8", 8) },
  ["\x96"] = { "BYTEARRAY8", push_bytes("<i8", 8) },
  [")"] = { "EMPTY_TUPLE", push_tuple(0) },
  ["\x85"] = { "TUPLE1", push_tuple(1) },
  ["\x86"] = { "TUPLE2", push_tuple(2) },
  ["\x87"] = { "TUPLE3", push_tuple(3) },
  t = { "TUPLE", push_marked "tuple" },
  ["]"] = { "EMPTY_LIST", function(machine) machine:push(machine:new_value "list") end },
  l = { "LIST", push_marked "list" },
  a = { "APPEND", actions.append },
  e = { "APPENDS", actions.appends },
  ["}"] = { "EMPTY_DICT", function(machine) machine:push(machine:new_dict()) end },
  d = { "DICT", actions.dict },
  s = { "SETITEM", actions.setitem },
  u = { "SETITEMS", actions.setitems },
  p = { "PUT", function(machine) machine:memoize(memo_key(machine)) end },
  q = { "BINPUT", function(machine) machine:memoize(machine:take_number("B", 1)) end },
  r = { "LONG_BINPUT", function(machine) machine:memoize(machine:take_number("<I4", 4)) end },
  ["\x94"] = { "MEMOIZE", function(machine) machine:memoize(machine.memo_count) end },
  g = { "GET", function(machine) machine:recall(memo_key(machine)) end },
  h = { "BINGET", function(machine) machine:recall(machine:take_number("B", 1)) end },
  j = { "LONG_BINGET", function(machine) machine:recall(machine:take_number("<I4", 4)) end },
  c = { "GLOBAL", actions.global },
  ["\x93"] = { "STACK_GLOBAL", actions.stack_global },
  R = { "REDUCE", Machine.reduce },
  b = { "BUILD", Machine.build },
}

--- Opcodes that exist and are refused, for the message.
local refused = {
  ["0"] = "POP", ["1"] = "POP_MARK", ["2"] = "DUP", P = "PERSID", Q = "BINPERSID", i = "INST", o = "OBJ",
  ["\x81"] = "NEWOBJ", ["\x82"] = "EXT1", ["\x83"] = "EXT2", ["\x84"] = "EXT4", ["\x8F"] = "EMPTY_SET",
  ["\x90"] = "ADDITEMS", ["\x91"] = "FROZENSET", ["\x92"] = "NEWOBJ_EX", ["\x97"] = "NEXT_BUFFER",
  ["\x98"] = "READONLY_BUFFER",
}

local function step(machine, char)
  local opcode = opcodes[char]
  machine.at, machine.pos = machine.pos - 1, machine.pos + 1
  if opcode then
    machine.opcode = opcode[1]
    return opcode[2](machine)
  end
  machine.opcode = refused[char] or ("opcode 0x%02X"):format(char:byte())
  machine:fail(refused[char] and "unsupported" or "format",
    refused[char] and "opcode not allowed, a file is read as data" or "unknown")
end

local function execute(bytes, limits)
  local machine = Machine.new(bytes, limits)
  local char = bytes:sub(1, 1)
  while char ~= "." do
    if char == "" then
      fault.raise("format", "pickle: the file ends after %d bytes, without STOP", #bytes)
    end
    step(machine, char)
    char = bytes:sub(machine.pos, machine.pos)
  end
  machine.at, machine.opcode = machine.pos - 1, "STOP"
  if machine.top ~= 1 or #machine.marks > 0 then
    machine:fail("format", "%d values and %d marks on the stack, expected 1 value", machine.top, #machine.marks)
  elseif machine.pos ~= #bytes then
    machine:fail("format", "%d bytes follow", #bytes - machine.pos)
  end
  return machine.stack[1]
end

local function children(value)
  if value.type == "dict" then
    return value.values
  elseif value.type == "tuple" or value.type == "list" then
    return value
  elseif value.type == "array" and not value.dtype then
    fault.raise("format", "pickle: an array without content")
  elseif value.type == "global" or value.type == "dtype" then
    fault.raise("unsupported", "pickle: %s stands where data should", value.name or "a numpy dtype")
  end
  return {}
end

--- Checks that `value` is a tree of data, bounded in depth and in size with shared parts counted
-- again; returns its height and size. `seen` holds those of finished values, `false` for open ones.
local function measure(value, depth, seen, limits)
  if type(value) ~= "table" or value == null then
    return 0, 1
  end
  local known = seen[value]
  if known == false then
    fault.raise("format", "pickle: a %s contains itself", value.type)
  elseif depth + (known and known.height or 0) > limits.depth then
    fault.raise("limit", "pickle: nested deeper than %d", limits.depth)
  elseif known then
    return known.height, known.size
  end
  seen[value] = false
  local height, size = 0, 1
  for _, child in ipairs(children(value)) do
    local child_height, child_size = measure(child, depth + 1, seen, limits)
    height, size = math.max(height, child_height + 1), size + child_size
    if size > limits.items then
      fault.raise("limit", "pickle: more than %d values, counting shared ones again", limits.items)
    end
  end
  seen[value] = { height = height, size = size }
  return height, size
end

--- Runs the pickle; raises a fault, or returns the value (see `espquant.codec.pickle`).
function M.read(bytes, overrides)
  local limits = {}
  for name, default in pairs(M.limits) do
    limits[name] = overrides and overrides[name] or default
  end
  local value = execute(bytes, limits)
  measure(value, 1, {}, limits)
  return value
end

return M
