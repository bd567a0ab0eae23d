--- Which commands there are, and the parsers of their options (lua-argparse).
---
---     for _, name in ipairs(command_parser.names()) do print(name, command_parser.module(name).summary) end
---     local parser, help_asked = command_parser.of(command)       -- of one
---     local all = command_parser.full()                           -- of all, for completion

local M = {}

--- The name of the module of a command, or nil.
function M.module_name(word)
  if not word:match "^%a[%w_-]*$" then return nil end
  local name = "espquant.commands." .. word:gsub("-", "_")
  return package.searchpath(name, package.path) and name
end

--- The module of a command that there is.
function M.module(name) return require(M.module_name(name)) end

--- The names of all commands, sorted. Lists their folder, so only help and error messages ask.
function M.names()
  local here = package.searchpath("espquant.command_parser", package.path) or ""
  local folder = here:gsub("command_parser%.lua$", "commands")
  local pipe = io.popen("ls '" .. folder:gsub("'", "'\\''") .. "' 2>/dev/null")
  local names = {}
  for file in pipe and pipe:lines() or function() end do
    local name = file:match "^([%w_]+)%.lua$"
    if name then names[#names + 1] = (name:gsub("_", "-")) end
  end
  if pipe then pipe:close() end
  table.sort(names)
  return names
end

--- The parser of a command, and a function that tells whether --help stopped it (argparse itself would exit).
function M.of(command)
  local argparse = require "argparse"
  local parser = argparse("espquant " .. command.name, command.summary):add_help(false):help_max_width(100)
  local asked = false
  command.configure(parser)
  parser:flag("-h --help", "Show this help message."):action(function()
    asked = true
    error("help", 0)
  end)
  return parser, function() return asked end
end

--- All commands as commands of one parser: for completion and the manual.
function M.full()
  local parser = require "argparse"("espquant"):add_help(false):require_command(false)
  parser:option "--isa":argname "NAME":description(
    "Instruction set of the float kernels: sse41, avx2 or avx512 (default: the best there is).")
  parser:flag "-h --help":description "What there is; after a command: what it does."
  for _, name in ipairs(M.names()) do
    local module = M.module(name)
    module.configure(parser:command(name):summary(module.summary):description(module.summary):help_max_width(78))
  end
  return parser
end

--- The help of a command, its examples first.
function M.help(command, parser)
  local lines = { "Examples:" }
  for _, example in ipairs(command.examples or {}) do lines[#lines + 1] = "   " .. example end
  if #lines == 1 then return parser:get_help() end
  return table.concat(lines, "\n") .. "\n\n" .. parser:get_help()
end

return M
