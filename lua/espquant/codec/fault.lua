--- Raise inside a decoder, return at its door.
--
-- A decoder finds bad input at any depth; `fault.raise` leaves from there and `fault.catch`, called
-- once in each public function, turns it into the project's `nil, message, code`. Any other error
-- is a bug of ours and goes on rising.
--
--    local function parse(bytes) ... fault.raise("format", "npy: bad magic") ... end
--    function M.decode(bytes) return fault.catch(parse, bytes) end

local M = {}

local Fault = {}

--- Leaves the decoder. `code` is one of "io", "format", "unsupported", "limit".
function M.raise(code, format, ...)
  error(setmetatable({ code = code, message = format:format(...) }, Fault), 0)
end

local function settle(ok, ...)
  if ok then
    return ...
  end
  local err = ...
  if getmetatable(err) == Fault then
    return nil, err.message, err.code
  end
  error(err, 0)
end

--- Calls `f(...)`; a fault becomes `nil, message, code`.
function M.catch(f, ...)
  return settle(pcall(f, ...))
end

--- Passes results through; turns `nil, message, code` into a fault whose message begins with `prefix`.
function M.check(prefix, value, message, code)
  if value == nil then
    M.raise(code or "format", "%s: %s", prefix, message or "unknown error")
  end
  return value
end

--- A name from a hostile file, fit for a message: quoted, one line, printable, short.
function M.quote(text)
  text = tostring(text)
  local short = #text > 60 and text:sub(1, 57) .. "..." or text
  local safe = short:gsub("[%c\x7F-\xFF]", function(char)
    return ("\\x%02X"):format(char:byte())
  end)
  return "'" .. safe .. "'"
end

--- Raises (misuse) unless `bytes` is a string: numbers are no byte strings.
function M.expect_string(bytes, name)
  if type(bytes) ~= "string" then
    error(("bad argument to %s (string expected, got %s)"):format(name, type(bytes)), 3)
  end
end

return M
