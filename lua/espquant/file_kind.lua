--- What a file looks like by its first bytes, for messages about one that is not what was expected.
---
---     return nil, file_kind.unlike(path, message, "an ONNX model")   --> "...; it looks like a PNG image"

local core = require "espquant.core"

-- Lua patterns, in order.
local KINDS = {
  { "^\x89PNG\r\n\x1a\n", "a PNG image" },
  { "^\xff\xd8\xff", "a JPEG image" },
  { "^GIF8", "a GIF image" },
  { "^RIFF....WAVE", "a WAV sound" },
  { "^PK[\3\5]", "a zip archive, such as .npz or a model of PyTorch" },
  { "^\x1f\x8b", "a gzip file" },
  { "^\x93NUMPY", "a .npy array" },
  { "^\x89HDF\r\n", "an HDF5 file, such as a model of Keras" },
  { "^....TFL3", "a TensorFlow Lite model" },
  { "^PDL[123]", "a packed .espdl model" },
  { "^EDL[12]", "a .espdl model" },
  { "^\x7fELF", "a program" },
  { "^%%PDF", "a PDF document" },
  { "^\x80[\2-\5]", "a pickle, such as a quantization table" },
  { "^\8[\1-\31][\x12\x1a\x22\x28\x32\x3a\x42]", "an ONNX model" },
  { "^%s*<[%a!?]", "a page of HTML or XML" },
  { "^version https://git%-lfs", "a pointer of Git LFS: fetch the file itself (git lfs pull)" },
  { "^%s*[{%[]%s*[\"{%[}%]%d]", "JSON" },
  { "^[\t\n\r\x20-\x7e]+$", "text" },
}

local M = {}

--- "a PNG image", or nil where nothing is recognized or read.
function M.of(path)
  local head = core.read_part(path, 0, 512)
  for _, row in ipairs(head and KINDS or {}) do
    if head:find(row[1]) then return row[2] end
  end
end

--- The message, with what the file looks like and true if that is none of the expected (beginnings of names of kinds).
function M.unlike(path, message, ...)
  local kind = M.of(path)
  for _, expected in ipairs { ... } do
    if kind and kind:sub(1, #expected) == expected then return message end
  end
  if not kind then return message end
  return ("%s; it looks like %s"):format(message, kind), true
end

return M
