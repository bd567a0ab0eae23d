-- An array of numpy; many of them in a zip file.
local npy = require "espquant.codec.npy"
local zip = require "espquant.codec.zip"
return function(bytes)
  npy.decode(bytes)
  zip.decode_npz(bytes)
end
