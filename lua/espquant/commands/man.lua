--- espquant man: the manual page, made from the commands' options.

local command_parser = require "espquant.command_parser"
local errors = require "espquant.errors"
local version = require "espquant.version"

local M = { name = "man", summary = "print the manual page (roff)" }

M.examples = { "espquant man | man -l -", "espquant man > espquant.1" }

function M.configure() end

-- Text that roff takes as it is.
local function plain(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (("\n" .. text):gsub("\n([.'])", "\n\\&%1"):sub(2))
end

local function block(out, text)
  out[#out + 1] = ".nf\n" .. plain(text) .. "\n.fi"
end

local EXITS = {
  { errors.EXIT.ok, "Done." },
  { errors.EXIT.no, "The answer is no: a check failed, a threshold was missed; also a script's own error." },
  { errors.EXIT.usage, "Wrong usage." },
  { errors.EXIT.format, "Input that cannot be read, or is invalid." },
  { errors.EXIT.unsupported, "A model that is not supported." },
  { errors.EXIT.limit, "A limit was reached, or memory ran out." },
  { errors.EXIT.bug, "A bug of espquant." },
  { errors.EXIT.interrupted, "Stopped by Ctrl\\-C." },
}

local function add_command(out, name)
  local module = command_parser.module(name)
  out[#out + 1] = '.SS "' .. plain(name) .. '"\n' .. plain(module.summary:sub(1, 1):upper() .. module.summary:sub(2)) .. "."
  block(out, table.concat(module.examples, "\n"))
  block(out, command_parser.of(module):get_help())
end

function M.run(_, streams)
  local out = {
    ('.TH ESPQUANT 1 "" "espquant %s" "User Commands"'):format(version),
    ".SH NAME\nespquant \\- quantize neural networks for Espressif chips",
    ".SH SYNOPSIS\n.B espquant\n[\\-\\-isa NAME] COMMAND [options]\n.br\n.B espquant\nscript.lua [arguments]\n.br\n"
      .. ".B espquant",
    ".SH DESCRIPTION\nTakes a trained float network (ONNX) to an Espressif chip: optimizes the graph, calibrates power\\-of\\-two\n"
      .. "int8 or int16 quantization, computes the integers that the chip computes, and exports what ESP\\-DL loads.\n"
      .. "A word that contains a slash or ends in .lua is a script, any other a command; without one, lines are read\n"
      .. "from the terminal, or standard input is run as a script.",
    ".SH COMMANDS",
  }
  for _, name in ipairs(command_parser.names()) do add_command(out, name) end
  out[#out + 1] = '.SH "EXIT STATUS"'
  for _, exit in ipairs(EXITS) do out[#out + 1] = (".TP\n%d\n%s"):format(exit[1], exit[2]) end
  out[#out + 1] = ".SH ENVIRONMENT\n.TP\nTERM\nWith the value dumb there is no progress bar. No output has colours, so NO_COLOR\n"
    .. "changes nothing."
  streams.stdout:write(table.concat(out, "\n"), "\n")
  return true
end

return M
