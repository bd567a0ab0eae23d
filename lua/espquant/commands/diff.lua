--- espquant diff: what differs between two tables, two models or two reports.

local command = require "espquant.command"
local difference = require "espquant.difference"
local json = require "espquant.json"

local M = { name = "diff", summary = "what differs between two tables, models or reports; a limit for CI" }

local function number(text)
  local value = tonumber((text:gsub("%%$", "")))
  if not value or value < 0 or value ~= value then return nil, ("'%s' is no number from 0 on"):format(text) end
  return value
end

M.examples = {
  "espquant diff old.json new.json",
  "espquant diff old.onnx new.onnx --max-bytes 5",
}

function M.configure(parser)
  parser:argument("a", "A table (.json, .pickle), a model (.onnx, .espdl), or a report (of espquant report --json).")
  parser:argument("b", "Another one of the same kind.")
  parser:option "--max-moved":argname "STEPS":convert(number)
    :description "Exit with 1 when an exponent moved by more powers of two."
  parser:option "--max-changed":argname "N":convert(number)
    :description "Exit with 1 when more tensors or layers were added, removed or changed."
  parser:option "--max-bytes":argname "PERCENT":convert(number)
    :description "Exit with 1 when the file grew by more."
  parser:option "--max-accuracy-drop":argname "PERCENT":convert(number)
    :description "Reports: exit with 1 when an accuracy or agreement fell by more points, or is gone."
  command.add_json(parser)
  parser:epilog "Without a limit, any difference gives exit code 1, as with diff; with limits, only they do."
end

-- --- printing -----------------------------------------------------------------------------------------------------

local function plain(value)
  if value == nil then return "-" end
  return math.type(value) == "float" and ("%.6g"):format(value) or tostring(value)
end

local function print_list(streams, title, list)
  if #list == 0 then return end
  streams.stdout:write(title, "\n")
  for _, name in ipairs(list) do streams.stdout:write("  ", name, "\n") end
end

local function print_pairs(streams, list)
  local rows = {}
  for i, each in ipairs(list) do rows[i] = { each.name, plain(each.from), "->", plain(each.to) } end
  if #rows > 0 then command.print_columns(streams, rows) end
end

local function print_difference(streams, d)
  if d.equal then return streams.stdout:write "no difference\n" end
  print_pairs(streams, d.facts)
  print_pairs(streams, d.numbers)
  print_list(streams, "removed:", d.removed)
  print_list(streams, "added:", d.added)
  if #d.changed > 0 then
    streams.stdout:write(("changed: %d, exponents by %s at most\n"):format(#d.changed, plain(d.moved)))
  end
  for _, change in ipairs(d.changed) do
    streams.stdout:write(("  %s: %s -> %s\n"):format(change.name, change.from, change.to))
  end
end

local function facts_of(d)
  local facts = { kind = d.kind, equal = d.equal, moved = d.moved < math.huge and d.moved or json.null }
  for _, key in ipairs { "added", "removed", "changed", "facts", "numbers" } do
    local list = json.array()
    for i, each in ipairs(d[key]) do
      if type(each) == "table" then
        local moved = each.moved and (each.moved < math.huge and each.moved or "infinite") or nil
        list[i] = { name = each.name, from = each.from == nil and json.null or each.from,
          to = each.to == nil and json.null or each.to, moved = moved }
      else list[i] = each end
    end
    facts[key] = list
  end
  return facts
end

-- --- limits -------------------------------------------------------------------------------------------------------

-- The largest fall of an accuracy or agreement, in points of a percent; one that is gone fell without bound.
local function largest_drop(d)
  local most = 0
  for _, each in ipairs(d.numbers) do
    local is_share = each.name:match "accuracy$" or each.name:match "agreement$"
    if is_share and each.from then most = math.max(most, each.to and 100 * (each.from - each.to) or math.huge) end
  end
  return most
end

local function growth(d)
  for _, each in ipairs(d.numbers) do
    if each.name == "bytes" then return 100 * (each.to - each.from) / each.from end
  end
  return 0
end

-- Says which limits are passed; true if none is.
local function within(args, d, streams)
  local checks = {
    { "max_moved", d.moved, "an exponent moved by %s" },
    { "max_changed", #d.added + #d.removed + #d.changed, "%s were added, removed or changed" },
    { "max_bytes", growth(d), "the file grew by %s %%" },
    { "max_accuracy_drop", largest_drop(d), "an accuracy fell by %s points" },
  }
  local ok, any = true, false
  for _, check in ipairs(checks) do
    local limit, got = args[check[1]], check[2]
    any = any or limit ~= nil
    if limit and got > limit + 1e-9 then
      ok = false
      streams.stderr:write(("espquant: " .. check[3] .. ", at most %s allowed (--%s)\n"):format(plain(got), plain(limit),
        (check[1]:gsub("_", "-"))))
    end
  end
  return any and ok or not any and d.equal
end

function M.run(args, streams)
  local d = difference.of(difference.profile(args.a), difference.profile(args.b))
  if args.max_accuracy_drop and d.kind ~= "report" then
    return command.usage(streams, ("--max-accuracy-drop is for reports; a %s has no accuracy"):format(d.kind))
  end
  if args.json then command.print_json(streams, facts_of(d)) else print_difference(streams, d) end
  return within(args, d, streams)
end

return M
