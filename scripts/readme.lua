--- Puts the table of operators, and what passes of ONNX's own tests, into README.md (run in the checkout):
---     build/bin/espquant scripts/readme.lua
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

--- The Markdown of what passes of ONNX's own test models, which Debian's libonnx-testdata installs.
function M.onnx()
  local backend = require "spec.support.onnx_backend"
  local lines = { "| suite | models of our operators | pass | models of other operators |", "|---|---|---|---|" }
  local names = {}
  for _, suite in ipairs(backend.SUITES) do
    local r = backend.run_suite(suite)
    lines[#lines + 1] = ("| %s | %d | %d | %d |"):format(suite, r.total, r.passed, r.others)
    for _, entry in ipairs(r.problems) do names[#names + 1] = (entry[1].name:gsub("^test_", "")) end
  end
  table.sort(names)
  lines[#lines + 1] = "\nNot passing, each with its reason in `spec/support/onnx_exceptions.lua` (training, strings, "
    .. "sequences, bfloat16): " .. table.concat(names, ", ") .. ".\n"
  return table.concat(lines, "\n")
end

if arg and arg[0]:match "readme%.lua$" then
  local path = here .. "../README.md"
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  text = M.replace(text, "operators", M.operators(here .. "../build/bin/espquant"))
  package.path = "./?.lua;" .. package.path
  text = M.replace(text, "onnx", M.onnx())
  file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

return M
