--- Opening what `espquant.dataset` takes: which format reads a file, and whether its options are right.

local core = require "espquant.core"
local file = require "espquant.dataset.file"
local fit = require "espquant.dataset.fit"
local folder = require "espquant.dataset.folder"
local images = require "espquant.dataset.images"
local memory = require "espquant.dataset.memory"
local raw = require "espquant.dataset.raw"

local M = {}

local is_tensor = fit.is_tensor

-- A new format: its file here, in the order of asking.
local FORMATS = {
  require "espquant.dataset.npy",
  require "espquant.dataset.npz",
  require "espquant.dataset.idx",
  require "espquant.dataset.pickle",
  require "espquant.dataset.csv",
  raw,
}

-- Options of all formats, and of some: name -> types that the value may have.
local OPTIONS = { scale = "number", shape = "table", array = "string", labels = "string number" }
local FORMAT_OPTIONS = {}
for _, format in ipairs(FORMATS) do
  for key, kind in pairs(format.options or {}) do FORMAT_OPTIONS[key] = kind end
end

local EXPECTED = {
  number = "a number", table = "a list", string = "a string", boolean = "true or false",
  ["string number"] = "a name or a number",
}

local function check_shape(shape)
  for _, d in ipairs(shape or {}) do
    if math.type(d) ~= "integer" or d < 1 then error(("dataset: shape: %s is no size"):format(tostring(d)), 4) end
  end
end

local function check_options(options)
  for key, value in pairs(options) do
    local kinds = OPTIONS[key] or FORMAT_OPTIONS[key]
    if not kinds then
      error(("dataset: %s option '%s'"):format(images.OPTIONS[key] and "only PNG and JPEG files have the" or "unknown",
        tostring(key)), 3)
    end
    if not kinds:find(type(value), 1, true) then error(("dataset: %s: %s expected"):format(key, EXPECTED[kinds]), 3) end
  end
  check_shape(options.shape)
end

-- Options that only other formats have are a mistake, which must not pass unseen.
local function check_format_options(format, options, path)
  for key in pairs(options) do
    if not OPTIONS[key] and not (format.options and format.options[key]) then
      return nil, ("%s: option '%s' is for other files than %s"):format(path, key, format.name), "format"
    end
  end
  return true
end

--- The format that reads the file at `path`, or with a `dtype` a folder of raw files; nil, message, code.
function M.format_of(path, dtype)
  if dtype and folder.is_folder(path) then return raw end
  local head, message, code = core.read_part(path, 0, 16)
  if not head then return nil, message, code end
  local names = {}
  for i, format in ipairs(FORMATS) do
    if format.can_open(path, head) then return format end
    names[i] = format.name
  end
  return nil, ("%s: no dataset that espquant reads (%s)"):format(path, table.concat(names, ", ")), "format"
end

--- True for a folder, and for the path of a PNG or JPEG file: what has the options of pictures. With a `dtype` a folder
--- is one of raw files.
function M.is_pictures(path, dtype)
  return not dtype and images.takes(path)
end

-- Tensors in memory: one is like a file of one array, images first; a list keeps its entries.
local function of_tensors(source, options)
  if is_tensor(source) then return file.new("tensor", { { tensor = source } }, options, fit.cast) end
  if #source == 0 then return nil, "dataset: empty dataset: it holds no image", "format" end
  for i, entry in ipairs(source) do
    if not is_tensor(entry) then
      error(("dataset: entry %d: tensor expected, got %s"):format(i, type(entry)), 3)
    end
  end
  for key in pairs(options) do
    if key ~= "scale" then error(("dataset: option '%s' is for files"):format(key), 3) end
  end
  return memory.new(source, options, fit.cast)
end

--- The arrays of a file; also a tensor, or a list of tensors, for which scale is the only option. Options: scale (each
--- number is multiplied by it), shape (of one image, where the file stores another), array (the name of one array of
--- several), labels (the array, or the column of a CSV file, that holds the images' classes), and those of the formats,
--- which their files tell. Returns an object with count, batches, tensor, raw, names and the field labels (of a list:
--- count and batches), or nil, message, code. A folder, a picture or a list of their paths: see images.lua.
function M.open(path, options)
  options = options or {}
  if M.is_pictures(path, options.dtype) then return images.open(path, options) end
  if is_tensor(path) or type(path) == "table" and (#path > 0 or next(path) == nil) then
    check_options(options)
    return of_tensors(path, options)
  end
  if type(path) ~= "string" then
    error(("dataset: path, tensor or list of tensors expected, got %s"):format(type(path)), 2)
  end
  check_options(options)
  local format, message, code = M.format_of(path, options.dtype)
  if not format then return nil, message, code end
  local arrays, ok
  ok, message, code = check_format_options(format, options, path)
  if not ok then return nil, message, code end
  arrays, message, code = format.open(path, options)
  if not arrays then
    if message:sub(1, #path) ~= path then message = ("%s: %s"):format(path, message) end
    return nil, message, code
  end
  return file.new(path, arrays, options, fit.cast)
end

return M
