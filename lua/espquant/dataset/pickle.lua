--- Dataset format: numpy arrays in a Python pickle, read as data; nothing in it is executed.
---
--- One array; a dict of arrays by name; a list or tuple of arrays (batches or images; one for each input of a model
--- that has several); or the pair (images, labels).

local core = require "espquant.core"
local fault = require "espquant.codec.fault"
local globals = require "espquant.codec.pickle_globals"
local reader = require "espquant.codec.pickle_reader"

local M = { name = ".pickle of arrays" }

--- Largest file that is read.
M.MAX_BYTES = 1 << 32

--- True for the file at `path`, whose first bytes are `head`.
function M.can_open(path, head)
  local name = path:lower()
  return head:match "^\x80[\2-\5]" ~= nil or name:match "%.pickle$" ~= nil or name:match "%.pkl$" ~= nil
end

local function tensor_of(value, where)
  if globals.type_name(value) ~= "array" then
    fault.raise("format", "%s is a %s, expected a numpy array", where, globals.type_name(value))
  end
  return fault.check(where, core.tensor_frombytes {
    dtype = value.dtype, shape = value.shape, data = value.data, byteorder = value.byteorder, fortran = value.fortran,
  })
end

-- The list of labels that `value` is for `count` images, or nil: a vector or column of integers, a list of ints.
local function labels_of(value, count)
  local kind = globals.type_name(value)
  if kind == "array" then
    local is_integer = value.dtype:match "int%d+$"
    local is_vector = #value.shape == 1 or #value.shape == 2 and value.shape[2] == 1
    local is_labels = is_integer and is_vector and value.shape[1] == count
    return is_labels and tensor_of(value, "labels"):reshape({ -1 }):totable() or nil
  end
  if kind ~= "list" and kind ~= "tuple" or #value ~= count or count == 0 then return nil end
  for _, label in ipairs(value) do
    if math.type(label) ~= "integer" then return nil end
  end
  return table.move(value, 1, count, 1, {})
end

local function of_dict(dict)
  local arrays = {}
  for i, key in ipairs(dict.keys) do
    local where = ("entry %s"):format(fault.quote(key))
    if type(key) ~= "string" then fault.raise("format", "%s: its name is no str", where) end
    arrays[i] = { name = key, tensor = tensor_of(dict.values[i], where) }
  end
  return arrays
end

local function of_list(list)
  local first = list[1]
  if #list == 2 and globals.type_name(first) == "array" and #first.shape > 1 then
    local labels = labels_of(list[2], first.shape[1])
    if labels then return { { tensor = tensor_of(first, "entry 1") }, labels = labels } end
  end
  local arrays = {}
  for i, value in ipairs(list) do arrays[i] = { tensor = tensor_of(value, ("entry %d"):format(i)) } end
  return arrays
end

local function open(bytes)
  local value = reader.read(bytes)
  local kind = globals.type_name(value)
  if kind == "dict" then return of_dict(value) end
  if kind == "list" or kind == "tuple" then return of_list(value) end
  return { { tensor = tensor_of(value, "the object") } }
end

--- The file's arrays: `{name =, tensor =}`, and `labels`, a list; nil, message, code.
function M.open(path)
  local bytes, message, code = core.read_file(path, M.MAX_BYTES)
  if not bytes then return nil, message, code end
  return fault.catch(open, bytes)
end

return M
