--- Dataset format: IDX, the MNIST files, plain or gzipped. 8-bit images come as they are: give `scale = 1/256`.

local core = require "espquant.core"
local gzip = require "espquant.codec.gzip"
local idx = require "espquant.codec.idx"
local record = require "espquant.codec.record"

local M = { name = "IDX (.idx, -ubyte, .gz)" }

--- True for the file at `path`, whose first bytes are `head`.
function M.can_open(path, head)
  local name = path:lower()
  return head:match "^\0\0[\8\9\11-\14][\1-\8]" ~= nil or head:sub(1, 2) == "\x1F\x8B" or
    name:match "%.idx$" ~= nil or name:match "%-ubyte$" ~= nil
end

--- The file's arrays: a list of `{name = nil, tensor =}` with one entry; nil, message, code.
function M.open(path)
  local bytes, message, code = core.read_file(path)
  if bytes and bytes:sub(1, 2) == "\x1F\x8B" then bytes, message, code = gzip.gunzip(bytes) end
  if not bytes then return nil, message, code end
  return record.one_array(idx.decode(bytes))
end

return M
