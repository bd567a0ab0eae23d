--- What exporters share: their target, names and refusals, and files that belong together: all of them, or nothing
--- changes.
---
---     local ok, message, code = output.write({ "a.cpp", "a.hpp" }, { "text", "text" })

local core = require "espquant.core"

local M = {}

--- Whether there is such a chip of ESP-DL v1: true, or nil, message, code.
function M.check_target(target)
  local chips = {}
  for _, t in ipairs(core.targets()) do
    if t.runtime == "v1" then
      if t.chip == target then return true end
      chips[#chips + 1] = t.chip
    end
  end
  return nil, ("no target '%s' of ESP-DL v1: expected %s"):format(target, table.concat(chips, ", ")), "unsupported"
end

--- What an exporter that found problems returns: nil, a message that begins with `what`, code, the problems.
function M.refuse(what, problems, code)
  local first = type(problems[1]) == "table" and problems[1].message or problems[1]
  local more = #problems > 1 and (" (and %d more)"):format(#problems - 1) or ""
  return nil, ("%s: %s%s"):format(what, first, more), code, problems
end

--- Whether `name` can be part of a file's name: one that neither leaves the folder nor ends an #include. True, or nil,
--- message, code.
function M.check_name(name)
  if name ~= "" and not name:match '[%c"/\\]' then return true end
  local text = [['%s' is no name for the files: expected one without / \ " and control characters]]
  return nil, text:format(name), "format"
end

--- write(o, ...), whose lines to `o.log` come out once it has returned true: what is worth a warning in files is none
--- while there are no files. Returns what it returns.
function M.write_then_log(o, write, ...)
  local lines, log = {}, o.log
  o.log = function(text) lines[#lines + 1] = text end
  local ok, message, code, problems = write(o, ...)
  o.log = log
  if not ok then return nil, message, code, problems end
  for _, line in ipairs(lines) do log(line) end
  return ok
end

--- Writes texts[i] to paths[i]. All are complete on the disk before the first one takes its place.
--- True, or nil, message, code; then every file is as it was.
M.write = core.write_files

return M
