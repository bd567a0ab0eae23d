--- The command line: `espquant script.lua args`, `espquant` (REPL), `espquant COMMAND ...`, and lua's own options.
---
--- A command is a file `commands/<name>.lua` (a `-` of the name is a `_` of the file) that returns
---
---     { name = "info", summary = "print what is in a model",
---       examples = { "espquant info m.onnx" },           -- what --help begins with
---       configure = function(parser) ... end,            -- parser: lua-argparse, with -h/--help already there
---       run = function(args, io) return exit_code end }  -- or nil, message, code; io: stdin, stdout, stderr
---
--- The word after `espquant` is a script if it contains a "/" or ends in ".lua", else a command if there is one of
--- that name, else a script if there is such a file. Modules are required when needed: start-up is part of every run.

local command_parser = require "espquant.command_parser"
local errors = require "espquant.errors"

local M = {}

local EXIT = errors.EXIT

--- The names of all commands, sorted.
M.command_names = command_parser.names
local unpack = table.unpack

local USAGE = [[
usage: espquant [options] [script.lua | COMMAND | -] [args]

  script.lua args   run a Lua script
  COMMAND args      run a command (espquant COMMAND --help explains it)
  (nothing)         read lines from a terminal as a REPL, or run standard input as a script

options, as in lua:
  -e chunk   run a chunk; espquant is a global in it
  -i         open the REPL after the script
  -l name    require a module into a global (-l g=name: into g)
  -v         print the version
  --isa NAME instruction set of the float kernels: sse41, avx2 or avx512 (default: the best there is)
  -          run standard input
  --         end of options
  -h, --help this text
]]

local EXITS = [[

exit codes: 0 done, 1 the answer is no (or a script's own error), 2 usage, 3 unreadable or invalid input,
4 unsupported model, 5 limit reached, 70 a bug of espquant, 130 stopped by Ctrl-C (another signal n: 128+n)
]]

local function complain(text)
  io.stderr:write("espquant: ", text, "\n")
end

-- --- running chunks ---------------------------------------------------------------------------------------------

-- Our errors and other error objects explain themselves; a plain message gets a traceback, as in lua.
local function message_handler(err)
  if errors.is(err) then return err end
  if errors.is_memory(err) then return errors.new("memory", "not enough memory") end
  if type(err) == "string" or type(err) == "number" then return debug.traceback(tostring(err), 2) end
  local mt = getmetatable(err)
  return mt and mt.__tostring and tostring(err) or ("(error object is a %s value)"):format(type(err))
end

-- Prints an error and returns the exit code; `other` is the code of errors that are not ours.
local function report(err, other)
  complain(tostring(err))
  if errors.is(err) then return errors.exit_code(err.code) end
  if err:match "^[^\n]*interrupted!" then return EXIT.interrupted end
  if errors.is_memory(err) then return EXIT.memory end
  return other
end

local function run_chunk(chunk, message, ...)
  if not chunk then
    complain(message)
    return EXIT.no
  end
  local ok, err = xpcall(chunk, message_handler, ...)
  if not ok then return report(err, EXIT.no) end
  return EXIT.ok
end

local function run_script(argv, index)
  local name = argv[index]
  local script_arg = {}
  for i, value in pairs(argv) do script_arg[i - index] = value end
  _G.arg = script_arg
  local chunk, message
  if name == "-" then
    chunk, message = load(function() return io.read(4096) end, "=stdin", "t")
  else
    chunk, message = loadfile(name, "t")
  end
  return run_chunk(chunk, message, unpack(script_arg))
end

-- --- commands ---------------------------------------------------------------------------------------------------

local function print_help()
  io.stdout:write(USAGE, "\ncommands:\n")
  for _, name in ipairs(command_parser.names()) do
    io.stdout:write(("  %-10s %s\n"):format(name, require(command_parser.module_name(name)).summary))
  end
  io.stdout:write(EXITS)
  return EXIT.ok
end

--- The candidates near a misspelt word.
M.suggest = require "espquant.suggest"

local function unknown_command(word)
  local names = command_parser.names()
  local near = M.suggest(word, names)
  complain(("'%s' is neither a command nor a file"):format(word))
  if #near > 0 then
    io.stderr:write("did you mean: ", table.concat(near, ", "), "?\n")
  else
    io.stderr:write("commands: ", table.concat(names, ", "), " (espquant help)\n")
  end
  return EXIT.usage
end

-- What a command returned or raised, as an exit code.
local function command_result(ok, result, message, code)
  if not ok then return report(result, EXIT.bug) end
  if result == nil then
    complain(tostring(message))
    return errors.exit_code(code)
  end
  return result == true and EXIT.ok or result == false and EXIT.no or result
end

local function parse_and_run(command, arguments)
  local parser, help_asked = command_parser.of(command)
  local ok, parsed, args = pcall(parser.pparse, parser, arguments)
  if help_asked() then
    io.stdout:write(command_parser.help(command, parser), "\n")
    return EXIT.ok
  elseif not ok then
    error(parsed, 0)
  elseif not parsed then
    complain(("%s (espquant %s --help)"):format(args, command.name))
    return EXIT.usage
  end
  local streams = { stdin = io.stdin, stdout = io.stdout, stderr = io.stderr }
  return command.run(args, streams)
end

--- Runs a command (its module) with a list of arguments and returns the exit code.
function M.run_command(command, arguments)
  return command_result(xpcall(parse_and_run, message_handler, command, arguments))
end

local function help(words)
  if not words[1] then return print_help() end
  local module = command_parser.module_name(words[1])
  if not module then return unknown_command(words[1]) end
  return M.run_command(require(module), { "--help" })
end

-- --- the whole line ---------------------------------------------------------------------------------------------

-- Splits lua's options from the rest: returns {list of {kind, value}}, flags and the index of the first other word.
local function parse_options(argv)
  local actions, flags, i = {}, {}, 1
  while argv[i] do
    local word = argv[i]
    local letter, value = word:match "^%-([el])(.*)$"
    if letter then
      if value == "" then
        i = i + 1
        value = argv[i]
      end
      if not value then return nil, ("'-%s' needs an argument"):format(letter) end
      actions[#actions + 1] = { letter, value }
    elseif word == "-i" or word == "-v" then
      flags[word:sub(2)] = true
    elseif word == "--isa" or word:match "^%-%-isa=" then
      flags.isa = word:match "=(.*)$" or argv[i + 1]
      if not flags.isa then return nil, "'--isa' needs an argument" end
      if word == "--isa" then i = i + 1 end
    elseif word == "-h" or word == "--help" then
      flags.help = true
    elseif word == "--version" then
      flags.v = true
    elseif word == "--" then
      return actions, flags, i + 1
    elseif word:sub(1, 1) == "-" and word ~= "-" then
      return nil, ("unrecognized option '%s'"):format(word)
    else
      return actions, flags, i
    end
    i = i + 1
  end
  return actions, flags, i
end

local function find_module(name)
  return package.loaded[name] or package.preload[name] or package.searchpath(name, package.path)
    or package.searchpath(name, package.cpath) or package.searchpath(name:match "^[^.]*", package.cpath)
end

local function run_action(kind, value)
  if kind == "e" then
    _G.espquant = require "espquant"
    return run_chunk(load(value, "=(command line)", "t"))
  end
  local global, name = value:match "^([%a_][%w_]*)=(.+)$"
  name = name or value
  if not find_module(name) then
    complain(("-l: no module '%s' is found; LUA_PATH and LUA_CPATH say where to look"):format(name))
    return EXIT.no
  end
  return run_chunk(function() _G[global or value] = require(name) end)
end

local function run_word(argv, index)
  local word = argv[index]
  local rest = { unpack(argv, index + 1) }
  if word == "-" or word:find("/", 1, true) or word:match "%.lua$" then return run_script(argv, index) end
  if word == "help" then return help(rest) end
  local module = command_parser.module_name(word)
  if module then return M.run_command(require(module), rest) end
  local file = io.open(word)
  if not file then return unknown_command(word) end
  file:close()
  return run_script(argv, index)
end

local function stdin_is_terminal()
  local ok, core = pcall(require, "espquant.core")
  return ok and core.isatty(0)
end

local function run_line(argv)
  local actions, flags, index = parse_options(argv)
  if not actions then
    complain(flags)
    io.stderr:write(USAGE)
    return EXIT.usage
  end
  if flags.help then return print_help() end
  if flags.v then io.stdout:write("espquant ", require "espquant.version", " (", _VERSION, ")\n") end
  if flags.isa then
    local ok, message = require "espquant.core".set_isa(flags.isa)
    if not ok then
      complain("--isa: " .. message)
      return EXIT.usage
    end
  end
  local status = EXIT.ok
  for _, action in ipairs(actions) do
    status = run_action(action[1], action[2])
    if status ~= EXIT.ok then return status end
  end
  if argv[index] then
    status = run_word(argv, index)
  elseif #actions == 0 and not flags.v and not flags.i and not stdin_is_terminal() then
    argv[index] = "-"
    return run_script(argv, index)
  end
  if flags.i or (not argv[index] and #actions == 0 and not flags.v) then
    require "espquant.repl".start()
  end
  return status
end

--- Runs a command line (`argv` as Lua's `arg`) and returns the exit code of the process.
function M.main(argv)
  local done, status = xpcall(run_line, message_handler, argv)
  if not done then status = report(status, EXIT.bug) end
  local ok, message = io.stdout:flush()
  local core = package.loaded["espquant.core"] -- who has not needed it has not written much
  if ok and core and io.type(io.stdout) and core.has_failed(io.stdout) then ok, message = nil, "an earlier part was lost" end
  if ok then return status end
  complain("cannot write to standard output: " .. message)
  return status == EXIT.ok and errors.exit_code "io" or status
end

return M
