--- Errors as values: the object that the mirrored API raises, and what each code means for a process's exit.
---
--- Native names return `nil, message, code[, problems]`; `errors.check` turns that into a raised object:
---
---     local model = errors.check(core.onnx_load(path))      -- raises {code = "io", message = ...}
---
--- `code` is "io", "format", "unsupported", "limit", "memory" or "bug". Lack of memory is raised by native names too, as
--- Lua itself does: by the C module as an error object with the code "memory", by Lua as "not enough memory".

local M = {}

--- Exit codes of commands and of scripts that end in one of our errors. They are API: documented, never reused.
M.EXIT = {
  ok = 0,
  no = 1, -- the answer is no: a check failed, a threshold was missed; also a script's own error, as in lua
  usage = 2,
  io = 3,
  format = 3,
  unsupported = 4,
  limit = 5,
  memory = 5,
  bug = 70,
  interrupted = 130,
}

local Error = { __name = "espquant.error" }
Error.__index = Error

local function problem_text(problem)
  if type(problem) == "table" and problem.message and not getmetatable(problem) then return problem.message end
  return tostring(problem)
end

function Error:__tostring()
  local lines = { self.message }
  for _, problem in ipairs(self.problems) do lines[#lines + 1] = "  - " .. problem_text(problem) end
  return table.concat(lines, "\n")
end

--- An error object; `problems` is a list of strings or of `{message = ...}`, and `problems.exception`, if there, the
--- name of the Python exception that the original toolkit raises here: it becomes the object's `exception`.
function M.new(code, message, problems)
  problems = problems or {}
  return setmetatable({ code = code, message = message, problems = problems, exception = problems.exception }, Error)
end

--- True for an object made by `errors.new`.
function M.is(value)
  return getmetatable(value) == Error
end

--- Whether this was raised for lack of memory: by Lua, which raises a string, or by the C module.
function M.is_memory(value)
  if type(value) == "string" then return value:find "not enough memory$" ~= nil end
  return M.is(value) and value.code == "memory"
end

local function settle(ok, ...)
  if not ok and M.is_memory(...) then error(..., 0) end
  return ok, ...
end

--- As pcall, for callers that take a failure for an answer: lack of memory is none and goes on rising.
function M.pcall(f, ...)
  return settle(pcall(f, ...))
end

--- Raises a new error object.
function M.raise(code, message, problems)
  error(M.new(code, message, problems), 0)
end

--- Like assert for `nil, message, code[, problems]`: returns all its arguments, or raises an error object.
function M.check(value, message, code, problems, ...)
  if value ~= nil and value ~= false then return value, message, code, problems, ... end
  if M.is(message) then error(message, 0) end
  M.raise(code or "bug", tostring(message or "unknown error"), problems)
end

--- The exit code of a process that ends with this code of an error.
function M.exit_code(code)
  return M.EXIT[code] or M.EXIT.bug
end

return M
