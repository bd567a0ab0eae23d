--- The interactive prompt: expressions print their values, `=expr` too, a chunk may go on over several lines,
--- errors are printed and never end it.
---
---     repl.run { read = function(prompt) ... end, write = io.write, env = _G }
---
--- `read` returns a line or nil at the end of input. `repl.start()` runs it on the terminal, with history and
--- completion where lua-readline is installed. The history is kept in $ESPQUANT_HISTORY (empty: nowhere), else in
--- $XDG_STATE_HOME/espquant_history, else in ~/.espquant_history.

local help = require "espquant.help"

local M = {}

local PROMPT, CONTINUED = "> ", ">> "
local MAX_ENTRIES, MAX_DEPTH, MAX_STRING = 20, 2, 200

-- --- showing values -----------------------------------------------------------------------------------------------

local function quoted(text)
  if #text > MAX_STRING then text = text:sub(1, MAX_STRING) .. "..." end
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

-- Numbers before strings, then by value: a table reads the same every time.
local function ordered(a, b)
  local kind_a, kind_b = math.type(a) and "" or type(a), math.type(b) and "" or type(b)
  if kind_a ~= kind_b then return kind_a < kind_b end
  if kind_a == "" or kind_a == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local show

local function show_key(key)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" then return key end
  return "[" .. show(key, MAX_DEPTH) .. "]"
end

local function show_table(value, depth)
  if next(value) == nil then return "{}" end
  if depth >= MAX_DEPTH then return "{...}" end
  local keys, parts = {}, {}
  for key in next, value do keys[#keys + 1] = key end
  table.sort(keys, ordered)
  for i, key in ipairs(keys) do
    if i > MAX_ENTRIES then
      parts[i] = ("... %d more"):format(#keys - MAX_ENTRIES)
      break
    end
    local member = show(rawget(value, key), depth + 1)
    parts[i] = key == i and member or show_key(key) .. " = " .. member
  end
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line <= 100 then return line end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(parts, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

function show(value, depth)
  local mt = debug.getmetatable(value)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "table" and not (mt and mt.__tostring) then return show_table(value, depth) end
  return tostring(value)
end

--- A value as text for a reader: objects by their __tostring, tables in part, a string as it is.
function M.show(value)
  if type(value) == "string" then return value end
  return help.listing(value) or show(value, 0)
end

-- --- one chunk ----------------------------------------------------------------------------------------------------

local function message_handler(err)
  if type(err) ~= "string" then
    local mt = debug.getmetatable(err)
    return mt and mt.__tostring and tostring(err) or ("(error object is a %s value)"):format(type(err))
  end
  -- The REPL's own frames say nothing to the reader.
  local trace = debug.traceback(err, 2):gsub("\n%s*%[C%]: in function 'xpcall'.*$", "")
  return (trace:gsub("\nstack traceback:$", ""))
end

-- A chunk from source: first as an expression, then as statements. Third result: true if more lines are needed.
local function compile(source, env)
  local expression = source:match "^%s*=(.*)$" or source
  local chunk = load("return " .. expression, "=stdin", "t", env)
  if chunk then return chunk end
  local message
  chunk, message = load(source, "=stdin", "t", env)
  if chunk then return chunk end
  if source:match "^%s*=" then
    local _
    _, message = load("return " .. expression, "=stdin", "t", env)
  end
  return nil, message, message:match "<eof>$" ~= nil
end

-- Reads lines until they make a chunk: chunk | nil, message | nil (end of input).
local function read_chunk(read, env)
  local source = read(PROMPT)
  if not source then return nil end
  while true do
    local chunk, message, incomplete = compile(source, env)
    if chunk or not incomplete then return chunk, message end
    local line = read(CONTINUED)
    if not line then return nil, message end
    source = source .. "\n" .. line
  end
end

local function print_values(write, ...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = M.show((select(i, ...))) end
  if #texts > 0 then write(table.concat(texts, "\t"), "\n") end
end

local function run_chunk(write, chunk)
  local results = table.pack(xpcall(chunk, message_handler))
  if not results[1] then return write(tostring(results[2]), "\n") end
  -- A __tostring may fail as well.
  local shown, err = xpcall(print_values, message_handler, write, table.unpack(results, 2, results.n))
  if not shown then write(tostring(err), "\n") end
end

--- Runs the loop until `read` returns nil. `options`: read, write, env (default: the globals).
function M.run(options)
  local read, write, env = options.read, options.write, options.env or _G
  while true do
    local ok, chunk, message = pcall(read_chunk, read, env)
    if not ok then
      if not tostring(chunk):match "interrupted!$" then error(chunk, 0) end
      write "\n" -- Ctrl-C while typing drops the chunk
    elseif chunk then
      run_chunk(write, chunk)
    elseif message then
      write(message, "\n")
    else
      return
    end
  end
end

-- --- on the terminal ----------------------------------------------------------------------------------------------

--- Where the history is kept; nil where it is not wanted.
function M.history_file(getenv)
  local chosen, state = getenv "ESPQUANT_HISTORY", getenv "XDG_STATE_HOME"
  if chosen == "" then return nil end
  return chosen or state and state ~= "" and state .. "/espquant_history" or "~/.espquant_history"
end

-- lua-readline with history and completion, or nil where it is not installed.
local function readline_reader(env)
  local found, readline = pcall(require, "readline")
  if not found then return nil end
  local complete = require "espquant.complete".complete
  readline.set_readline_name "espquant"
  local history = M.history_file(os.getenv)
  readline.set_options { histfile = history or "", keeplines = 1000 }
  readline.set_complete_function(function(text, from, to)
    readline.set_completion_append_character "" -- readline forgets it after each completion
    local ok, names = pcall(complete, text:sub(from, to), env)
    return ok and names or {}
  end)
  return readline.readline, history and readline.save_history
end

local function plain_reader(prompt)
  io.stdout:write(prompt)
  io.stdout:flush()
  return io.read "l"
end

--- Opens the REPL on the terminal. `espquant` and `help` become globals: this is the user's own session.
function M.start()
  local read, save = readline_reader(_G)
  _G.espquant = _G.espquant or require "espquant"
  _G.help = _G.help or help.help
  io.stdout:write("espquant ", require "espquant.version", ", ", _VERSION,
    ": `espquant` is loaded, help() and help(x) explain, Ctrl-D leaves\n")
  M.run { read = read or plain_reader, write = function(...) io.stdout:write(...) end }
  io.stdout:write "\n"
  if save then save() end
end

return M
