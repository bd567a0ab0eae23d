--- Datasets of pictures: a folder of PNG and JPEG files (see folder.lua), one file, or a list of paths. They are read
--- batch by batch in every pass, on several threads; the order is that of the files.
---
---     local d = espquant.dataset("photos", { scale = 1 / 255, mean = { 0.485, 0.456, 0.406 }, std = 0.225 })
---     d:count()  d.files  d.classes  d.labels  d:tensor()  for batch in d:batches() do ... end
---
--- Options; what is not given follows from the input of the model that the dataset is used with:
---   size    {height, width}, or one number for both: what pictures are resized to (rule: csrc/image/image.h)
---   crop    number: the shorter side is scaled to it and the centre of `size` is cut out, instead of stretching
---   order   "rgb", "bgr" or "gray"
---   layout  "nchw" or "nhwc"
---   scale, mean, std   a pixel v of 0..255 becomes (v * scale - mean) / std, rounded to float32 once; mean and std are
---                      numbers or lists, one per channel in `order`; default 1, 0 and 1
---   threads
--- Without a model the defaults are the pictures' own size (all the same), "rgb" and "nchw".

local core = require "espquant.core"
local errors = require "espquant.errors"
local folder = require "espquant.dataset.folder"

local Images = { __name = "espquant.images" }
Images.__index = Images

local M = {}

local BATCH, BATCH_BYTES = 64, 64 << 20
local SHOWN_PROBLEMS = 20
local ORDERS = { rgb = 3, bgr = 3, gray = 1 }
local LAYOUTS = { nchw = true, nhwc = true }

-- --- options ------------------------------------------------------------------------------------------------------

local function is_list(value, length)
  if type(value) ~= "table" or length and #value ~= length or #value == 0 then return false end
  for _, x in ipairs(value) do
    if type(x) ~= "number" then return false end
  end
  return true
end

local function is_numbers(value) return type(value) == "number" or is_list(value) end
local function is_side(value) return math.type(value) == "integer" and value >= 1 and value <= 65500 end

-- What each option must be: a check and its description.
local OPTIONS = {
  size = { function(v) return is_side(v) or is_list(v, 2) and is_side(v[1]) and is_side(v[2]) end,
    "{height, width} expected, of 1 to 65500" },
  crop = { is_side, "a number of pixels expected, of 1 to 65500" },
  order = { function(v) return ORDERS[v] end, "'rgb', 'bgr' or 'gray' expected" },
  layout = { function(v) return LAYOUTS[v] end, "'nchw' or 'nhwc' expected" },
  scale = { function(v) return type(v) == "number" end, "a number expected" },
  mean = { is_numbers, "a number or a list of numbers expected" },
  std = { is_numbers, "a number or a list of numbers expected" },
  threads = { function(v) return math.type(v) == "integer" and v >= 0 end, "a number of threads expected" },
}

--- The names of the options.
M.OPTIONS = OPTIONS

local function check_options(options)
  for key, value in pairs(options) do
    local option = OPTIONS[key]
    if not option then error(("dataset: unknown option '%s' for images"):format(tostring(key)), 4) end
    if not option[1](value) then error(("dataset: %s: %s"):format(key, option[2]), 4) end
  end
end

-- --- opening ------------------------------------------------------------------------------------------------------

--- True for what `open` opens: a list of paths, a folder, or the path of a picture, by its name or first bytes.
function M.takes(path)
  if type(path) == "table" then return type(path[1]) == "string" end
  if type(path) ~= "string" then return false end
  if folder.is_folder(path) or folder.is_picture(path) then return true end
  local head = core.read_part(path, 0, 8) or ""
  return head == "\x89PNG\r\n\x1a\n" or head:sub(1, 3) == "\xFF\xD8\xFF"
end

local function check_list(list)
  for _, path in ipairs(list) do
    if type(path) ~= "string" then error("dataset: a list of paths expected", 4) end
  end
  return { files = { table.unpack(list) }, notes = {} }
end

--- The pictures as a dataset, or nil, message, code. Nothing is decoded yet.
function M.open(path, options)
  check_options(options)
  local found, message, code
  if type(path) == "table" then found = check_list(path)
  elseif folder.is_folder(path) then found, message, code = folder.scan(path, folder.PICTURES)
  else found = { files = { path }, notes = {} } end
  if not found then return nil, message, code end
  found.where, found.options = type(path) == "string" and path or ("list of %d images"):format(#path), options
  return setmetatable(found, Images)
end

--- True for an object made by `open`.
function M.is(value)
  return getmetatable(value) == Images
end

-- --- what the model wants -----------------------------------------------------------------------------------------

local function is_integer(d) return math.type(d) == "integer" end
local function is_channels(d) return d == 1 or d == 3 end

-- Layout, channels, height and width that an input's shape speaks of; nil for what is open.
local function wanted(shape, layout)
  if not shape or #shape < 3 or #shape > 4 then return { layout = layout or "nchw" } end
  if #shape == 3 then return { layout = layout or "nchw", channels = 1, height = shape[2], width = shape[3] } end
  layout = layout or (is_channels(shape[4]) and not is_channels(shape[2]) and "nhwc" or "nchw")
  if layout == "nchw" then return { layout = layout, channels = shape[2], height = shape[3], width = shape[4] } end
  return { layout = layout, channels = shape[4], height = shape[2], width = shape[3] }
end

-- Sets height, width and shorter of the form: the option's size, the model's, or that of the first picture.
local function set_size(form, self, want)
  local size, crop = self.options.size, self.options.crop
  if type(size) == "number" then size = { size, size } end
  if not size and is_integer(want.height) and is_integer(want.width) then size = { want.height, want.width } end
  if not size and crop then size = { crop, crop } end
  form.shorter = crop
  if size then
    form.height, form.width = size[1], size[2]
    return true
  end
  local first = self.files[1]
  local bytes, message, code = core.read_file(first, 1 << 28)
  if not bytes then return nil, message, code end
  local image
  image, message, code = core.image_decode(bytes)
  if not image then return nil, ("%s: %s"):format(first, message), code end
  form.height, form.width, form.shorter = image.shape[1], image.shape[2], -1
  return true
end

-- What each value of a pixel becomes: channels x 256 numbers; nil and the name of the option that does not fit.
local function lookup(options, channels)
  local function per_channel(key, otherwise)
    local value = options[key] or otherwise
    if type(value) == "number" then value = { value, value, value } return value end
    return #value == channels and value or nil
  end
  local mean, std, numbers = per_channel("mean", 0), per_channel("std", 1), {}
  if not mean or not std then return nil, mean and "std" or "mean" end
  for c = 1, channels do
    for v = 0, 255 do numbers[#numbers + 1] = (v * (options.scale or 1) - mean[c]) / std[c] end
  end
  return core.tensor_from(numbers, "float32", { channels, 256 })
end

local function channels_of(self, want, input)
  local order = self.options.order
  if order then return ORDERS[order] end
  if not is_integer(want.channels) then return 3 end
  if is_channels(want.channels) then return want.channels end
  return nil, ("%s: input '%s' has %d channels, pictures have 1 or 3; is --layout (layout) right?"):format(self.where,
    input.name, want.channels), "format"
end

-- The shape of one picture where the input has another one with as many numbers (flat, or without channels).
local function other_shape(form, shape)
  if not shape or #shape == 4 then return nil end
  local count, tail = 1, { table.unpack(shape, 2) }
  for _, d in ipairs(tail) do count = is_integer(d) and count * d or 0 end
  return count == form.height * form.width * form.channels and tail or nil
end

--- The dataset as the input of a model wants it (nil: no model), or nil, message, code. An input is anything with
--- `name` and `shape`, such as a graph's value.
function Images:fit(input)
  local shape = input and input.shape
  local want = wanted(shape, self.options.layout)
  local form = { bgr = self.options.order == "bgr", planar = want.layout == "nchw", threads = self.options.threads }
  local message, code, ok
  form.channels, message, code = channels_of(self, want, input)
  if not form.channels then return nil, message, code end
  ok, message, code = set_size(form, self, want)
  if not ok then return nil, message, code end
  form.table, message = lookup(self.options, form.channels)
  if not form.table then
    return nil, ("%s: %s: %d numbers for %d channels"):format(self.where, message, #self.options[message],
      form.channels), "format"
  end
  local copy = { form = form, shape = other_shape(form, shape) }
  for key, value in pairs(self) do copy[key] = value end
  return setmetatable(copy, Images)
end

-- --- use ----------------------------------------------------------------------------------------------------------

function Images:__tostring()
  local classes = self.classes and (" in %d classes: %s"):format(#self.classes, table.concat(self.classes, ", ")) or ""
  return ("dataset %s: %d images%s"):format(self.where, #self.files, classes)
end

--- Number of images.
function Images:count()
  return #self.files
end

local function load(self, first, last)
  return core.image_load({ table.unpack(self.files, first, last) }, self.form)
end

-- Raises with the problems of this batch and of all the files behind it: the user repairs them in one go.
local function refuse(self, problems, at, step)
  local code
  while at <= #self.files do
    local _, _, why, more = load(self, at, math.min(#self.files, at + step - 1))
    code = code or why
    for _, problem in ipairs(more or {}) do problems[#problems + 1] = problem end
    at = at + step
  end
  local n = #problems
  if n == 1 then errors.raise(code or "format", problems[1]) end
  if n > SHOWN_PROBLEMS then
    problems = { table.unpack(problems, 1, SHOWN_PROBLEMS) }
    problems[#problems + 1] = ("and %d more"):format(n - SHOWN_PROBLEMS)
  end
  errors.raise(code or "format", ("%s: %d of %d images cannot be used; repair or remove them"):format(self.where, n,
    #self.files), problems)
end

--- Iterator of float32 batches, as they fit the model; at most 64 images and 64 MB; from image number `first` on, if it
--- is given. Raises an error object that names all files that cannot be read.
function Images:batches(first)
  local data = self.form and self or errors.check(self:fit())
  local form, at = data.form, first or 1
  local step = math.max(1, math.min(BATCH, BATCH_BYTES // (4 * form.height * form.width * form.channels)))
  return function()
    if at > #data.files then return nil end
    local last = math.min(#data.files, at + step - 1)
    local batch, message, code, problems = load(data, at, last)
    if not batch and not problems then errors.raise(code, message) end
    if not batch then refuse(data, {}, at, step) end
    local n = last - at + 1
    at = last + 1
    return data.shape and batch:reshape { n, table.unpack(data.shape) } or batch
  end
end

--- All images in one tensor.
function Images:tensor()
  local all = {}
  for batch in self:batches() do all[#all + 1] = batch end
  return errors.check(core.concat(all, 0))
end

return M
