-- A PNG or JPEG file.
local core = require "espquant.core"
return function(bytes) core.image_decode(bytes) end
