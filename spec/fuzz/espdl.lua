-- A file of ESP-DL v3, and its graph where it is one.
local espdl_graph = require "espquant.espdl_graph"
local codec = require "espquant.codec.espdl"
local espdl = require "espquant.espdl"
return function(bytes)
  for _, entry in ipairs(codec.decode(bytes) or {}) do
    if entry.model then
      espdl.facts(entry)
      espdl_graph.read(entry, "esp32s3")
    end
  end
end
