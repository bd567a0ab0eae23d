--- espquant verify: does an artefact belong to a model?

local command = require "espquant.command"
local json = require "espquant.json"
local provenance = require "espquant.provenance"

local M = { name = "verify", summary = "whether a table, report, .espdl, .stat or optimized model was made from a model" }

M.examples = {
  "espquant verify m.json m.onnx",
  "espquant verify m.espdl m.onnx -t m.json",
}

function M.configure(parser)
  parser:argument("artefact", "A table, report (.html, .json), .espdl, .stat, or an .onnx file of espquant optimize.")
  command.add_model(parser, "model", "The .onnx file that it should be made from.")
  parser:option "-t --table":argname "TABLE":description "An .espdl file: also whether it was made with this table."
  command.add_key(parser)
  command.add_json(parser)
end

-- The checks: { what =, expected =, got = nil where the artefact does not say }.
local function checks_of(args, facts, model)
  local list = { { what = "model", expected = provenance.hash(model), got = facts.model } }
  if args.table then
    local t = command.table(args.table)
    list[2] = { what = "table", expected = require "espquant.core".sha256(t:to_json()),
      got = type(facts.table) == "string" and facts.table or nil }
  end
  for _, check in ipairs(list) do check.ok = check.got == check.expected end
  return list
end

local function print_check(streams, args, check)
  if check.ok then
    streams.stdout:write(("%s: made from this %s (%s)\n"):format(args.artefact, check.what, check.got:sub(1, 12)))
  elseif check.got then
    streams.stdout:write(("%s: made from another %s: its hash is %s, expected %s\n"):format(args.artefact, check.what,
      check.got, check.expected))
  else
    streams.stdout:write(("%s: it does not say from which %s it was made\n"):format(args.artefact, check.what))
  end
end

-- A pickle has no room for a hash: its names must do.
local function verify_pickle(args, facts, model, streams)
  local problems = provenance.misfits(facts.table, model)
  if args.json then
    command.print_json(streams, { kind = "table", belongs = #problems == 0, by = "names", problems = json.array(problems) })
  elseif #problems == 0 then
    streams.stdout:write(args.artefact, ": a pickle keeps no hash; its names and numbers of exponents fit the model\n")
  else
    streams.stdout:write(args.artefact, ": a pickle keeps no hash, and its names do not fit the model\n")
    for _, problem in ipairs(problems) do streams.stdout:write("  ", problem, "\n") end
  end
  return #problems == 0
end

function M.run(args, streams)
  local facts = provenance.of(args.artefact, args.key)
  local model = command.model(args.model, args, streams)
  if facts.kind == "table" and not facts.model then return verify_pickle(args, facts, model, streams) end
  local all, list = true, checks_of(args, facts, model)
  for _, check in ipairs(list) do all = all and check.ok end
  if args.json then
    local shown = json.array()
    for i, check in ipairs(list) do
      shown[i] = { what = check.what, expected = check.expected, got = check.got or json.null, ok = check.ok }
    end
    command.print_json(streams, { kind = facts.kind, belongs = all, by = "hashes", checks = shown, tool = facts.tool,
      data = facts.data, isa = facts.isa })
  else
    for _, check in ipairs(list) do print_check(streams, args, check) end
  end
  return all
end

return M
