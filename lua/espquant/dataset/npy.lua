--- Dataset format: one array in a NumPy .npy file, images first.

local core = require "espquant.core"
local npy = require "espquant.codec.npy"
local record = require "espquant.codec.record"

local M = { name = ".npy" }

--- True for the file at `path`, whose first bytes are `head`.
function M.can_open(path, head)
  return head:sub(1, 6) == "\x93NUMPY" or path:lower():match "%.npy$" ~= nil
end

--- The file's arrays: a list of `{name = nil, tensor =}` with one entry; nil, message, code.
function M.open(path)
  local bytes, message, code = core.read_file(path)
  if not bytes then return nil, message, code end
  return record.one_array(npy.decode(bytes))
end

return M
