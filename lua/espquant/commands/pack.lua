--- espquant pack: several .espdl files as one package that the runtime reads models from by name.

local command = require "espquant.command"
local errors = require "espquant.errors"
local espdl = require "espquant.espdl"

local M = { name = "pack", summary = "put several .espdl files into one package" }

M.examples = {
  "espquant pack a.espdl b.espdl -o both.espdl",
}

function M.configure(parser)
  parser:argument "files":args "+":description "The .espdl files; their names are those in the package."
  parser:option "-o --output":count "1":argname "FILE":description "The package."
end

function M.run(args, streams)
  local wrong = command.overwrites(args.output, table.unpack(args.files))
  if wrong then return command.usage(streams, wrong) end
  errors.check(espdl.pack(args.files, args.output))
  streams.stdout:write(args.output, ": ", command.plural(#args.files, "model"), "\n")
  return true
end

return M
