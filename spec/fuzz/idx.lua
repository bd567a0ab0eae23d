-- Images and labels as MNIST has them.
local idx = require "espquant.codec.idx"
return function(bytes) idx.decode(bytes) end
