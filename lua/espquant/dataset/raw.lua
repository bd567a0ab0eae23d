--- Dataset format: raw numbers, little-endian, nothing else; the options say what they are.
---
---     espquant.dataset("images.bin", { dtype = "uint8", shape = { 1, 28, 28 }, scale = 1 / 256 })
---
--- Options: `dtype` (of a number) and `shape` (of one image) are both needed. A file holds any number of images, and is
--- read batch by batch, so that it may be larger than memory. A folder of such files is one dataset, in the order of
--- their names' bytes; its sub-folders are classes.

local core = require "espquant.core"
local errors = require "espquant.errors"
local fault = require "espquant.codec.fault"
local folder = require "espquant.dataset.folder"
local record = require "espquant.codec.record"

local M = { name = ".bin or .raw with dtype and shape", options = { dtype = "string" } }

local SHOWN = 20 -- files with mistakes
local MOST_BYTES = 1 << 26 -- of a part that is read at once, where an image is not larger

--- True for a name that ends in .bin or .raw.
function M.can_open(path)
  local name = path:lower()
  return name:match "%.bin$" ~= nil or name:match "%.raw$" ~= nil
end

-- Number of images in the file; nil and what is wrong.
local function count_images(path, bytes_per_image, what)
  local head, total, code = core.read_part(path, 0, 0)
  if not head then fault.raise(code, "%s", total) end
  if total % bytes_per_image == 0 then return total // bytes_per_image end
  return nil, ("%d bytes are no multiple of the %d of an image (%s): %d are left over"):format(total, bytes_per_image,
    what, total % bytes_per_image)
end

-- The images of each file, all mistakes at once: list of numbers, and the sum.
local function count_all(path, files, bytes_per_image, what)
  local counts, total, problems = {}, 0, {}
  for i, file in ipairs(files) do
    local count, problem = count_images(file, bytes_per_image, what)
    if problem then problems[#problems + 1] = file == path and problem or ("%s: %s"):format(file, problem) end
    counts[i], total = count or 0, total + (count or 0)
  end
  if #problems > 0 then fault.raise("format", "%s", table.concat(problems, "\n  ", 1, math.min(#problems, SHOWN))
    .. (#problems > SHOWN and ("\n  ... %d more"):format(#problems - SHOWN) or "")) end
  return counts, total
end

local function stream(files, dtype, shape, bytes_per_image)
  return function()
    local i, offset = 1, 0
    return function(most)
      local count = math.max(1, math.min(most, MOST_BYTES // bytes_per_image))
      local data = ""
      while data == "" and files[i] do
        data = errors.check(core.read_part(files[i], offset, count * bytes_per_image))
        offset = offset + #data
        if data == "" then i, offset = i + 1, 0 end
      end
      return data ~= "" and errors.check(core.tensor_frombytes {
        dtype = dtype, shape = { #data // bytes_per_image, table.unpack(shape) }, data = data,
      }) or nil
    end
  end
end

-- The label of each image, from those of the files.
local function repeat_labels(labels, counts)
  local list = {}
  for i, label in ipairs(labels or {}) do
    for _ = 1, counts[i] do list[#list + 1] = label end
  end
  return labels and list
end

local function open(path, options)
  local dtype, shape = options.dtype, options.shape
  if not dtype or not shape then
    fault.raise("format", "a raw file does not say what it holds; give dtype and shape (of one image)")
  end
  local bytes_per_image = record.byte_count("shape", shape, record.itemsize[dtype])
  if #shape >= record.MAX_RANK or bytes_per_image == 0 then
    fault.raise("format", "%s is no shape of an image", record.shape_text(shape))
  end
  local found, message, code = { files = { path } }, nil, nil
  if folder.is_folder(path) then found, message, code = folder.scan(path, folder.RAW) end
  if not found then fault.raise(code, "%s", message) end
  local counts, total = count_all(path, found.files, bytes_per_image, ("%s %s"):format(dtype, table.concat(shape, "x")))
  local start = stream(found.files, dtype, shape, bytes_per_image)
  return {
    { dtype = dtype, shape = { total, table.unpack(shape) }, start = start }, notes = found.notes,
    labels = repeat_labels(found.labels, counts), classes = found.classes,
  }
end

--- The name of a type, or nil and what there is.
function M.check_dtype(name)
  if record.itemsize[name] then return name end
  local names = {}
  for each in pairs(record.itemsize) do names[#names + 1] = each end
  table.sort(names)
  return nil, ("no dtype '%s'; one of %s"):format(name, table.concat(names, ", "))
end

--- The images of the file or folder as one array, and labels and classes (lists) where there are sub-folders; nil,
--- message, code.
function M.open(path, options)
  local ok, message = M.check_dtype(options.dtype or "uint8")
  if not ok then error("dataset: " .. message, 0) end
  return fault.catch(open, path, options)
end

return M
