--- Words of a command line, as a shell reads them.

local M = {}

--- A word that a shell takes as it is, in single quotes where it needs them.
function M.quoted(text)
  return text:match "^[%w%._/:=,+-]+$" and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

-- A number so that reading it gives it back.
local function number(x)
  local text = ("%.14g"):format(x)
  return tonumber(text) == x and text or ("%.17g"):format(x)
end

local function text_of(value, between)
  if type(value) == "table" then
    local words = {}
    for i, each in ipairs(value) do words[i] = text_of(each) end
    return table.concat(words, between)
  end
  if type(value) == "boolean" then return value and "yes" or "no" end
  return math.type(value) == "float" and number(value) or tostring(value)
end

--- `--name value` for each option of `names` (a list of { name, key, between }) that the parsed `args` have; a list is
--- joined by `between`. Returns a list of words, quoted.
function M.options(names, args)
  local words = {}
  for _, each in ipairs(names) do
    local value = args[each[2]]
    if value ~= nil then words[#words + 1] = each[1] .. " " .. M.quoted(text_of(value, each[3])) end
  end
  return words
end

return M
