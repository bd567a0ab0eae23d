--- What `espquant.dataset(path, options)` returns: the arrays of a file, not yet bound to a model.
---
---     local d = espquant.dataset("images.npz", { scale = 1 / 256, array = "x_test" })
---     d:count()  d:names()  d:tensor()  d:raw "y_test"  for batch in d:batches() do ... end

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

--- A dataset of a file's arrays, or nil, message, code. `cast(tensor, input, scale)` makes the numbers.
function M.new(path, arrays, options, cast)
  local chosen, message, code = select_arrays(arrays, options.array, path)
  if not chosen then return nil, message, code end
  for i, array in ipairs(options.shape and chosen or {}) do
    chosen[i], message, code = reshape(array, options.shape, path)
    if not chosen[i] then return nil, message, code end
  end
  return setmetatable({ path = path, arrays = chosen, scale = options.scale, cast = cast }, File)
end

--- True for an object made by `new`.
function M.is(value)
  return getmetatable(value) == File
end

function File:__tostring()
  local parts = {}
  for i, array in ipairs(self.arrays) do
    local t = array.tensor
    parts[i] = ("%s%s %s"):format(array.name and array.name .. " " or "", t.dtype, table.concat(t.shape, "x"))
  end
  return ("dataset %s: %s"):format(self.path, #parts > 0 and table.concat(parts, ", ") or "no array")
end

--- Names of the arrays; a file of one array without name has none.
function File:names()
  local names = {}
  for i, array in ipairs(self.arrays) do names[i] = array.name end
  return names
end

-- The array of that name; without a name the only one.
local function find(self, name)
  for _, array in ipairs(self.arrays) do
    if name == nil and #self.arrays == 1 or name ~= nil and array.name == name then return array end
  end
  errors.raise("format", ("%s: %s"):format(self.path, name and "no array '" .. name .. "'"
    or #self.arrays == 0 and "it holds no array" or "it holds several arrays; name one"))
end

--- The array as it is in the file: its own type, not scaled. Raises for a name that does not exist.
function File:raw(name)
  return find(self, name).tensor
end

--- The array as float32, scaled. Raises for a name that does not exist.
function File:tensor(name)
  return errors.check(self.cast(self:raw(name), ANY, self.scale))
end

--- Number of images: the first axis; nil where arrays differ in it.
function File:count()
  local n
  for _, array in ipairs(self.arrays) do
    local rows = array.tensor.rank > 0 and #array.tensor or 1
    if n and n ~= rows then return nil end
    n = rows
  end
  return n or 0
end

--- Iterator of float32 batches of at most 64 images: tensors, or tables by name where the file holds several arrays.
function File:batches()
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
