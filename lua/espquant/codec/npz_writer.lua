--- Writes NumPy's .npz: a ZIP archive of .npy members, stored without compression.
--
--    for each array      50 4B 03 04   version, flags, method 0, time, date, CRC-32, sizes, name length, extra length
--                        name ".npy", the .npy file
--    then for each       50 4B 01 02   the directory's entry, with the position of the member
--    at the end          50 4B 05 06   number of entries, size and position of the directory
--
-- Times are 1980-01-01, ZIP's zero, so that equal arrays give equal bytes. `espquant.codec.zip` reads it.

local core = require "espquant.core"
local npy = require "espquant.codec.npy"

local M = {}

local VERSION, UTF8, DATE = 20, 0x800, 0x21
local LARGEST = 0xFFFFFFFF

local function local_header(name, crc, size)
  return string.pack("<c4 I2I2I2 I2I2 I4I4I4 I2I2", "PK\3\4", VERSION, UTF8, 0, 0, DATE, crc, size, size,
    #name, 0) .. name
end

local function directory_entry(name, crc, size, position)
  return string.pack("<c4 I2I2I2I2 I2I2 I4I4I4 I2I2I2 I2I2I4 I4", "PK\1\2", VERSION, VERSION, UTF8, 0, 0, DATE, crc,
    size, size, #name, 0, 0, 0, 0, 0, position) .. name
end

--- The bytes of an archive of array records, each with its `name`; nil, message, code where ZIP's 4 GB or 65,535
--- members do not suffice, a name is twice, or leads out of a folder.
function M.encode(arrays)
  if #arrays > 0xFFFF then return nil, ("npz: %d arrays, at most 65535 are possible"):format(#arrays), "limit" end
  local parts, directory, position, seen = {}, {}, 0, {}
  for _, array in ipairs(arrays) do
    local name, file = array.name .. ".npy", npy.encode(array)
    if ("/" .. name):find("/../", 1, true) then
      local text = "npz: array '%s' would leave the folder where the file is unpacked; write it alone, as .npy"
      return nil, text:format(array.name), "format"
    end
    if seen[name] then return nil, ("npz: two arrays are named '%s'"):format(array.name), "format" end
    if #name > 0xFFFF or position + #file + #name + 30 > LARGEST then
      return nil, ("npz: array '%s' does not fit: the format ends at 4 GB"):format(array.name), "limit"
    end
    local crc = core.crc32(file)
    local header = local_header(name, crc, #file)
    parts[#parts + 1], parts[#parts + 2] = header, file
    directory[#directory + 1] = directory_entry(name, crc, #file, position)
    position, seen[name] = position + #header + #file, true
  end
  local index = table.concat(directory)
  parts[#parts + 1] = index
  parts[#parts + 1] = string.pack("<c4 I2I2I2I2 I4I4I2", "PK\5\6", 0, 0, #arrays, #arrays, #index, position, 0)
  return table.concat(parts)
end

return M
