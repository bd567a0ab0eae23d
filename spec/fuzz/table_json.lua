-- A quantization table as JSON.
local qtable_json = require "espquant.qtable_json"
return function(bytes) qtable_json.decode(bytes) end
