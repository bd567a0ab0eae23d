-- Rows of numbers.
local csv = require "espquant.dataset.csv"
local files = require "spec.fuzz.files"
return function(bytes)
  local path = files.put("x.csv", bytes)
  local arrays = csv.open(path, {})
  for _, array in ipairs(arrays or {}) do
    if array.start then
      local read = array.start()
      for _ = 1, 4 do if not read(64) then break end end
    end
  end
end
