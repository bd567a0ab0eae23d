-- The config.json of the original's convert tool.
local convert = require "espquant.export.convert"
local files = require "spec.fuzz.files"
return function(bytes)
  local folder = files.put("config.json", bytes):gsub("/[^/]*$", "")
  convert.write { folder = folder, path = folder, name = "out", log = function() end }
end
