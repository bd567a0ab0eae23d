--- Dataset format: raw numbers, little-endian, nothing else; the options say what they are.
---
---     espquant.dataset("images.bin", { dtype = "uint8", shape = { 1, 28, 28 }, scale = 1 / 256 })
---
--- Options: `dtype` (of a number) and `shape` (of one image) are both needed. The file holds any number of images. It is
--- read batch by batch, so that it may be larger than memory.

local core = require "espquant.core"
local errors = require "espquant.errors"
local fault = require "espquant.codec.fault"
local record = require "espquant.codec.record"

local M = { name = ".bin or .raw with dtype and shape", options = { dtype = "string" } }

local MOST_BYTES = 1 << 26 -- of a part that is read at once, where an image is not larger

--- True for a name that ends in .bin or .raw.
function M.can_open(path)
  local name = path:lower()
  return name:match "%.bin$" ~= nil or name:match "%.raw$" ~= nil
end

-- Number of images in the file.
local function count_images(path, bytes_per_image, what)
  local head, total, code = core.read_part(path, 0, 0)
  if not head then fault.raise(code, "%s", total) end
  if total % bytes_per_image ~= 0 then
    fault.raise("format", "%d bytes are no multiple of the %d of an image (%s): %d are left over", total,
      bytes_per_image, what, total % bytes_per_image)
  end
  return total // bytes_per_image
end

local function stream(path, dtype, shape, bytes_per_image)
  return function()
    local offset = 0
    return function(most)
      local count = math.max(1, math.min(most, MOST_BYTES // bytes_per_image))
      local data = errors.check(core.read_part(path, offset, count * bytes_per_image))
      if data == "" then return nil end
      offset = offset + #data
      return errors.check(core.tensor_frombytes {
        dtype = dtype, shape = { #data // bytes_per_image, table.unpack(shape) }, data = data,
      })
    end
  end
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
  local count = count_images(path, bytes_per_image, ("%s %s"):format(dtype, table.concat(shape, "x")))
  local start = stream(path, dtype, shape, bytes_per_image)
  return { { dtype = dtype, shape = { count, table.unpack(shape) }, start = start } }
end

--- The name of a type, or nil and what there is.
function M.check_dtype(name)
  if record.itemsize[name] then return name end
  local names = {}
  for each in pairs(record.itemsize) do names[#names + 1] = each end
  table.sort(names)
  return nil, ("no dtype '%s'; one of %s"):format(name, table.concat(names, ", "))
end

--- The file's images as one array; nil, message, code.
function M.open(path, options)
  local ok, message = M.check_dtype(options.dtype or "uint8")
  if not ok then error("dataset: " .. message, 0) end
  return fault.catch(open, path, options)
end

return M
