--- Datasets: images (or other samples) for a model, from files, tensors, lists and iterators, in batches.
---
---     local d = espquant.dataset("images.npy", { scale = 1 / 256 })  -- a file's arrays
---     local d = espquant.dataset{ tensor, tensor }                   -- a tensor, or a list of them
---     local d = espquant.dataset("folder", { scale = 1 / 255 })      -- pictures: images.lua tells the options
---     local data = dataset.of(source, model)                         -- anything below, fitted to a model's inputs
---     data:count()                                                   -- number of images, nil when unknown
---     data.labels                                                    -- list of their classes, where the file has them
---     for batch in data:batches() do ... end                         -- any number of passes
---
--- A source is a tensor; a list of tensors; a path; an object of `espquant.dataset` or any with a method `batches`; an
--- iterator (a function that returns the next tensor, nil at the end; it runs once and its tensors are kept for later
--- passes); or, for a model of several inputs, a table of sources by input name. A list or iterator for such a model
--- holds tables of tensors by input name, and an .npz file arrays with these names.
---
--- A tensor is a batch, images first, or one image without that axis; a missing channel axis of size 1 is put in
--- (28x28 and Nx28x28 fit an input of Nx1x28x28). Numbers are cast to float32 and scaled batch by batch.

local errors = require "espquant.errors"
local file = require "espquant.dataset.file"
local fit = require "espquant.dataset.fit"
local memory = require "espquant.dataset.memory"
local images = require "espquant.dataset.images"
local opening = require "espquant.dataset.open"
local stream = require "espquant.dataset.stream"

local M = {}

local BATCH = 64

M.open, M.format_of, M.is_pictures = opening.open, opening.format_of, opening.is_pictures

-- --- sources: each gives start() -> a stream of items, and a count ------------------------------------------------

local is_tensor = fit.is_tensor

local function input_names(inputs)
  local names = {}
  for k, input in ipairs(inputs) do names[k] = input.name end
  return names
end

local function by_name_expected(inputs, where)
  return nil, ("%s: the model has %d inputs (%s): give a table of tensors by name"):format(where, #inputs,
    table.concat(input_names(inputs), ", ")), "format"
end

-- A tensor (one input), or a table of tensors by input name or in the inputs' order, as an item of fitted views.
local function to_item(value, inputs, where)
  local item = {}
  if is_tensor(value) then
    if #inputs > 1 then return by_name_expected(inputs, where) end
    value = { value }
  elseif type(value) ~= "table" then
    return nil, ("%s: tensor expected, got %s"):format(where, type(value)), "format"
  end
  for k, input in ipairs(inputs) do
    local tensor = value[input.name] or value[k]
    if not is_tensor(tensor) then return nil, ("%s: no tensor for input '%s'"):format(where, input.name), "format" end
    local view, message, code = fit.view(tensor, input, where)
    if not view then return nil, message, code end
    if k > 1 and #view ~= #item[1] then
      return nil, ("%s: %d images for input '%s', %d for input '%s'"):format(where, #view, input.name, #item[1],
        inputs[1].name), "format"
    end
    item[k] = view
  end
  return item
end

local function list_stream(items)
  return function()
    local i = 0
    return function()
      i = i + 1
      return items[i]
    end
  end
end

local function of_list(list, inputs, where)
  local items, total = {}, 0
  for i, value in ipairs(list) do
    local item, message, code = to_item(value, inputs, #list > 1 and ("%s: entry %d"):format(where, i) or where)
    if not item then return nil, message, code end
    items[i], total = item, total + #item[1]
  end
  return { start = list_stream(items), total = total }
end

-- A function that makes an iterator of values, as a function that makes a stream of fitted items.
local function fitted(start, inputs, where)
  return function()
    local next_value, i = start(), 0
    return function()
      local value = next_value()
      i = i + 1
      return value ~= nil and errors.check(to_item(value, inputs, ("%s: batch %d"):format(where, i))) or nil
    end
  end
end

local function of_iterator(iterator, inputs, where)
  return { start = fitted(stream.replay(iterator), inputs, where) }
end

local function of_object(object, inputs, where)
  local total = object.count and object:count()
  return { start = fitted(function() return object:batches() end, inputs, where), total = total or nil }
end

-- A stream fits when its first image does.
local function of_stream(data, inputs)
  local array = data.arrays[1]
  local first = array.start()(1)
  if not first then return { start = list_stream {}, total = 0 } end
  local item, message, code = to_item(first, inputs, data.path)
  if not item then return nil, message, code end
  return { start = fitted(function() return data:parts() end, inputs, data.path), total = array.shape[1] }
end

-- A list of arrays is one of inputs, if there are several, or of batches and images.
local function of_array_list(data, inputs)
  local list = {}
  for i, array in ipairs(data.arrays) do list[i] = array.tensor end
  return of_list(#inputs > 1 and #inputs == #list and { list } or list, inputs, data.path)
end

-- One input takes a file's only array whatever its name; else names decide.
local function of_arrays(data, inputs)
  local first = data.arrays[1]
  if not first then return { start = list_stream {}, total = 0 } end
  local values = {}
  for _, array in ipairs(data.arrays) do values[array.name or 0] = array.tensor end
  if #data.arrays == 1 and (#inputs == 1 or not first.name) then values = first.tensor end
  local item, message, code = to_item(values, inputs, data.path)
  if item then return { start = list_stream { item }, total = #item[1] } end
  local names = data:names()
  if #names > 0 then message = ("%s (it holds: %s)"):format(message, table.concat(names, ", ")) end
  return nil, message, code
end

local bind

local function check_names(sources, inputs, where)
  local known = {}
  for _, input in ipairs(inputs) do
    known[input.name] = true
    if sources[input.name] == nil then
      return nil, ("%s: nothing for input '%s'"):format(where, input.name), "format"
    end
  end
  for name in pairs(sources) do
    if not known[name] then
      return nil, ("%s: the model has no input '%s', its inputs are %s"):format(where, tostring(name),
        table.concat(input_names(inputs), ", ")), "format"
    end
  end
  return true
end

local function of_names(sources, inputs, where, step)
  local ok, message, code = check_names(sources, inputs, where)
  if not ok then return nil, message, code end
  local parts, total = {}, nil
  for k, input in ipairs(inputs) do
    local part
    part, message, code = bind(sources[input.name], { input }, ("%s of input '%s'"):format(where, input.name), step)
    if not part then return nil, message, code end
    if total and part.total and part.total ~= total then
      return nil, ("%s: %d images for input '%s', %d for those before it"):format(where, part.total, input.name,
        total), "format"
    end
    parts[k], total = part, total or part.total
  end
  local function start()
    local streams = {}
    for k, part in ipairs(parts) do streams[k] = part:items() end
    return stream.zip(streams, input_names(inputs), where)
  end
  return { start = start, total = total }
end

local function of_images(source, inputs, where)
  if #inputs > 1 then return by_name_expected(inputs, where) end
  local data, message, code = source:fit(inputs[1])
  if not data then return nil, message, code end
  local found = of_object(data, inputs, source.where)
  function found.start_at(image) return fitted(function() return data:batches(image) end, inputs, source.where)() end
  found.labels, found.classes = source.labels, source.classes
  return found
end

local function of_file(data, inputs)
  local of = data:is_stream() and of_stream or data:is_list() and of_array_list or of_arrays
  local found, message, code = of(data, inputs)
  if not found then return nil, message, code end
  if data.labels and found.total ~= #data.labels then
    return nil, ("%s: %d labels for %d images"):format(data.path, #data.labels, found.total), "format"
  end
  found.scale, found.labels, found.classes = data.scale, data.labels, data.classes
  return found
end

local function of_path(path, inputs)
  local data, message, code = M.open(path)
  if not data then return nil, message, code end
  if images.is(data) then return of_images(data, inputs, path) end
  return of_file(data, inputs)
end

local function source_of(source, inputs, where, step)
  local kind = type(source)
  if kind == "string" then return of_path(source, inputs) end
  if kind == "function" then return of_iterator(source, inputs, where) end
  if is_tensor(source) then return of_list({ source }, inputs, where) end
  if file.is(source) then return of_file(source, inputs) end
  if memory.is(source) then
    local found, message, code = of_list(source.entries, inputs, where)
    if found then found.scale = source.scale end
    return found, message, code
  end
  if images.is(source) then return of_images(source, inputs, where) end
  if kind == "table" and type(source.batches) == "function" then return of_object(source, inputs, where) end
  if kind == "table" and (source[1] ~= nil or next(source) == nil) then return of_list(source, inputs, where) end
  if kind == "table" then return of_names(source, inputs, where, step) end
  error(("dataset: tensor, list, iterator, path or dataset expected, got %s"):format(kind), 0)
end

-- --- datasets of a model ------------------------------------------------------------------------------------------

local Dataset = { __name = "espquant.bound_dataset" }
Dataset.__index = Dataset

function Dataset:__tostring()
  return ("dataset of %s images for %s"):format(self.total or "an unknown number of",
    table.concat(input_names(self.inputs), ", "))
end

--- Number of images, or nil when only a pass would tell. A folder of classes also has `classes` (names) and `labels`
--- (a list of numbers from 0).
function Dataset:count()
  return self.total
end

--- The stream of items (lists of tensors, one for each input), cut to batches, from image number `first` on.
function Dataset:items(first)
  local skip = first and first - 1 or 0
  local next_item = self.start_at and self.start_at(skip + 1) or stream.skip(self.start(), skip)
  return stream.rebatch(next_item, self.step, function(k, rows)
    return fit.cast(rows, self.inputs[k], self.scale)
  end)
end

--- Iterator of batches: a tensor, or a list of tensors by graph input where there are several. Raises an error object
--- when what an iterator returns does not fit, and when there was no image at all.
function Dataset:batches()
  local next_item, any = self:items(), false
  return function()
    local item = next_item()
    if not item and not any then errors.raise("format", ("%s: it holds no image"):format(self.where)) end
    any = true
    return item and (#self.inputs == 1 and item[1] or item) or nil
  end
end

bind = function(source, inputs, where, step)
  local found, message, code = source_of(source, inputs, where, step)
  if not found then return nil, message, code end
  if type(source) == "string" then where = source end
  if type(source) == "table" then where = file.is(source) and source.path or rawget(source, "where") or where end
  found.inputs, found.where, found.step = inputs, where, step
  if found.total == 0 then return nil, ("%s: it holds no image"):format(found.where), "format" end
  return setmetatable(found, Dataset)
end

-- Images per batch: at most 64, and a multiple of the model's own batch where it has one.
local function batch_step(inputs)
  local own = inputs[1].shape and inputs[1].shape[1]
  if math.type(own) ~= "integer" or own < 1 then own = 1 end
  return own * math.max(1, BATCH // own)
end

--- A source (see above) as a dataset for the model's inputs, or nil, message, code.
function M.of(source, model)
  local inputs = model.inputs
  if #inputs == 0 then return nil, "the model has no input", "format" end
  return bind(source, inputs, "dataset", batch_step(inputs))
end

return setmetatable(M, { __call = function(_, path, options) return M.open(path, options) end })
