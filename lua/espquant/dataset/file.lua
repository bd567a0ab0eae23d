--- What `espquant.dataset(path, options)` returns: the arrays of a file, not yet bound to a model.
---
---     local d = espquant.dataset("images.npz", { scale = 1 / 256, array = "x_test" })
---     d:count()  d:names()  d:tensor()  d:raw "y_test"  d.labels  for batch in d:batches() do ... end
---
--- An array is `{name =, tensor =}`, or, where the file is not held in memory, the only one of its file and a stream:
--- `{dtype =, shape =, start =}`. start() begins a pass: a function that returns at most so many images as a tensor,
--- nil at the end, and raises error objects. `labels` is a list of the images' classes, where there are any, and
--- `classes` one of their names, for a folder of classes.

local core = require "espquant.core"
local errors = require "espquant.errors"

local File = { __name = "espquant.dataset" }
File.__index = File

local BATCH = 64
local ANY = { dtype = "float32" }

local M = {}

-- shape: that of one image, for arrays whose images are stored in another one (flat, for example).
local function reshape(array, shape, path)
  local n = array.tensor.rank > 0 and #array.tensor or 1
  local tensor, message = array.tensor:reshape { n, table.unpack(shape) }
  if tensor then return { name = array.name, tensor = tensor } end
  return nil, ("%s: %s"):format(path, message), "format"
end

local function select_arrays(arrays, name, path)
  if not name then return arrays end
  local names = {}
  for i, array in ipairs(arrays) do
    if array.name == name then return { array } end
    names[i] = array.name or "(no name)"
  end
  return nil, ("%s: no array '%s'; it holds %s"):format(path, name, table.concat(names, ", ")), "format"
end

-- The labels: those that the format found, or the array of this name, which is then none of the images'.
local function take_labels(arrays, name, path)
  if arrays.labels or not name then return arrays, arrays.labels end
  local found, message, code = select_arrays(arrays, name, path)
  if not found then return nil, message, code end
  local labels, rest = found[1].tensor:astype "int64":reshape({ -1 }):totable(), {}
  for _, array in ipairs(arrays) do
    if array ~= found[1] then rest[#rest + 1] = array end
  end
  return rest, labels
end

--- A dataset of a file's arrays, or nil, message, code. `cast(tensor, input, scale)` makes the numbers.
function M.new(path, arrays, options, cast)
  local found, labels, why = take_labels(arrays, options.labels, path)
  if not found then return nil, labels, why end
  local chosen, message, code = select_arrays(found, options.array, path)
  if not chosen then return nil, message, code end
  for i, array in ipairs(options.shape and chosen or {}) do
    if array.tensor then chosen[i], message, code = reshape(array, options.shape, path) end
    if not chosen[i] then return nil, message, code end
  end
  return setmetatable({
    path = path, arrays = chosen, labels = labels, classes = arrays.classes, notes = arrays.notes,
    scale = options.scale, cast = cast,
  }, File)
end

--- True for an object made by `new`.
function M.is(value)
  return getmetatable(value) == File
end

function File:__tostring()
  local parts = {}
  for i, array in ipairs(self.arrays) do
    local t = array.tensor or array
    parts[i] = ("%s%s %s"):format(array.name and array.name .. " " or "", t.dtype, table.concat(t.shape, "x"))
  end
  return ("dataset %s: %s"):format(self.path, #parts > 0 and table.concat(parts, ", ") or "no array")
end

--- Names of the arrays; a file of one array, or of a list of them, has none.
function File:names()
  local names = {}
  for i, array in ipairs(self.arrays) do names[i] = array.name end
  return names
end

-- The array of that name, or of that place where they have none; without a name the only one.
local function find(self, name)
  for i, array in ipairs(self.arrays) do
    if name == nil and #self.arrays == 1 or name ~= nil and (array.name or i) == name then return array end
  end
  errors.raise("format", ("%s: %s"):format(self.path, name and ("no array '%s'"):format(name)
    or #self.arrays == 0 and "it holds no array" or "it holds several arrays; name one"))
end

--- The array as it is in the file: its own type, not scaled. Raises for a name that does not exist.
function File:raw(name)
  local array = find(self, name)
  if array.tensor then return array.tensor end
  local parts = {}
  for part in self:parts() do parts[#parts + 1] = part end
  if #parts == 0 then return errors.check(core.tensor(array.shape, array.dtype)) end
  return errors.check(core.concat(parts, 0))
end

--- Iterator over the arrays' numbers as they are: whole tensors, or of a stream at most 64 images at a time.
function File:parts()
  local first, i = self.arrays[1], 0
  if first and first.start then
    local read = first.start()
    return function() return read(BATCH) end
  end
  return function()
    i = i + 1
    return self.arrays[i] and self.arrays[i].tensor
  end
end

--- True when the file is read anew in every pass.
function File:is_stream()
  return self.arrays[1] ~= nil and self.arrays[1].start ~= nil
end

--- True for arrays without names: batches, images, or inputs of a model, which only the model tells.
function File:is_list()
  return #self.arrays > 1 and self.arrays[1].name == nil
end

--- The array as float32, scaled. Raises for a name that does not exist.
function File:tensor(name)
  return errors.check(self.cast(self:raw(name), ANY, self.scale))
end

--- Number of images: the first axis; nil where arrays differ in it, or are a list.
function File:count()
  local n
  if self:is_list() then return nil end
  for _, array in ipairs(self.arrays) do
    local rows = (array.tensor or array).shape[1] or 1
    if n and n ~= rows then return nil end
    n = rows
  end
  return n or 0
end

-- Batches of a stream, and of a list its tensors.
local function cast_parts(self)
  local next_part = self:parts()
  return function()
    local part = next_part()
    return part and errors.check(self.cast(part, ANY, self.scale))
  end
end

--- Iterator of float32 batches of at most 64 images: tensors, or tables by name where the file holds several arrays; of
--- a list each of its arrays.
function File:batches()
  if self:is_stream() or self:is_list() then return cast_parts(self) end
  local n, at = self:count(), 1
  if not n then errors.raise("format", ("%s: its arrays have different numbers of images"):format(self.path)) end
  return function()
    if at > n then return nil end
    local last, batch = math.min(n, at + BATCH - 1), {}
    for _, array in ipairs(self.arrays) do
      local t = array.tensor.rank > 0 and array.tensor or array.tensor:reshape { 1 }
      local rows = errors.check(self.cast(t:slice(at, last), ANY, self.scale))
      if #self.arrays == 1 then batch = rows else batch[array.name] = rows end
    end
    at = last + 1
    return batch
  end
end

return M
