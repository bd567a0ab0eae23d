--- NumPy's .npy files as tensors.
---
---     local images = espquant.npy.load "images.npy"     -- nil, message, code when it cannot be read
---     espquant.npy.save("copy.npy", images)

local core = require "espquant.core"
local codec = require "espquant.codec.npy"

local M = {}

local function named(path, value, message, code)
  if value == nil then return nil, ("%s: %s"):format(path, message), code end
  return value
end

--- Reads a tensor. A message begins with the path.
function M.load(path)
  local bytes, message, code = core.read_file(path)
  if not bytes then return nil, message, code end
  local array
  array, message, code = codec.decode(bytes)
  if not array then return named(path, nil, message, code) end
  return named(path, core.tensor_frombytes(array))
end

--- Writes a tensor, the whole file or nothing: true, or nil, message, code.
function M.save(path, tensor)
  return core.write_file(path, codec.encode { dtype = tensor.dtype, shape = tensor.shape, data = tensor:tobytes() })
end

return M
