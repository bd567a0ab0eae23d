-- A quantization table, or arrays, as Python pickles them.
local pickle = require "espquant.codec.pickle"
return function(bytes)
  pickle.decode(bytes)
  pickle.decode_table(bytes)
end
