-- A model whose weights lie in another file: the bytes are the model, and the other file too.
local core = require "espquant.core"
local files = require "spec.fuzz.files"
return function(bytes)
  files.put("weights.bin", bytes)
  core.onnx_decode(bytes, (files.put("x.onnx", bytes):gsub("/[^/]*$", "")))
end
