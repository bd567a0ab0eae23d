--- espquant table: a quantization table in its other form, .json for .pickle or back.

local command = require "espquant.command"
local errors = require "espquant.errors"

local M = { name = "table", summary = "write a quantization table in its other form: .json for .pickle, or back" }

M.examples = {
  "espquant table m.pickle -o m.json",
}

function M.configure(parser)
  parser:argument("table"):description "The quantization table, .pickle or .json."
  parser:option "-o --output":count "1":argname "FILE"
    :description "Where to write; the ending decides: .json or .pickle."
  command.add_quantization(parser, { method = true })
end

-- What a pickle cannot tell, the options may; what a table tells, they may not change.
local function complete(t, args)
  for _, key in ipairs { "bits", "granularity", "method", "mode" } do
    local given = args[key]
    if key == "bits" and given then given = math.tointeger(tonumber(given:match "%d+")) end
    local known = t.facts[key]
    if given and known and known ~= given then
      errors.raise("format", ("%s: its %s is %s, not %s"):format(args.table, key, known, given))
    end
    t.facts[key] = known or given
  end
end

function M.run(args, streams)
  local wrong = command.overwrites(args.output, args.table) or command.wrong_table_name(args.output)
  if wrong then return command.usage(streams, wrong) end
  local t = command.table(args.table)
  complete(t, args)
  errors.check(t:save(args.output))
  streams.stdout:write(("%s: %s\n"):format(args.output, ("%s entries"):format(command.thousands(#t.entries))))
  return true
end

return M
