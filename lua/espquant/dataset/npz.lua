--- Dataset format: named arrays in a NumPy .npz file. For a model of several inputs the names are those of the inputs.

local core = require "espquant.core"
local zip = require "espquant.codec.zip"

local M = { name = ".npz" }

--- True for the file at `path`, whose first bytes are `head`.
function M.can_open(path, head)
  return head:match "^PK[\3\5]" ~= nil or path:lower():match "%.npz$" ~= nil
end

local function array_of(record)
  local name = record.name
  record.name = nil
  local tensor, message, code = core.tensor_frombytes(record)
  if not tensor then return nil, ("array '%s': %s"):format(name, message), code end
  return { name = name, tensor = tensor }
end

--- The file's arrays: a list of `{name =, tensor =}` in the order of the file; nil, message, code.
function M.open(path)
  local bytes, message, code = core.read_file(path)
  if not bytes then return nil, message, code end
  local records
  records, message, code = zip.decode_npz(bytes)
  if not records then return nil, message, code end
  local arrays = {}
  for i, record in ipairs(records) do
    arrays[i], message, code = array_of(record)
    if not arrays[i] then return nil, message, code end
  end
  return arrays
end

return M
