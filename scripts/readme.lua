--- Puts the table of operators into README.md: build/bin/espquant scripts/readme.lua
--- A spec compares README.md with what this would write.
local here = arg and arg[0]:match "^(.*/)" or "scripts/"
local M = {}

--- The text with the block between `<!-- name -->` and `<!-- /name -->` replaced.
function M.replace(text, name, block)
  local open, close = ("<!-- %s -->\n"):format(name), ("<!-- /%s -->"):format(name)
  local first, last = text:find(open, 1, true)
  local stop = text:find(close, 1, true)
  assert(first and stop, "README.md has no block '" .. name .. "'")
  return text:sub(1, last) .. block .. text:sub(stop)
end

--- The Markdown of `espquant ops --markdown`.
function M.operators(espquant)
  local pipe = assert(io.popen(("'%s' ops --markdown"):format(espquant)))
  local text = pipe:read "a"
  assert(pipe:close())
  return text
end

if arg and arg[0]:match "readme%.lua$" then
  local path = here .. "../README.md"
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  text = M.replace(text, "operators", M.operators(here .. "../build/bin/espquant"))
  file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

return M
