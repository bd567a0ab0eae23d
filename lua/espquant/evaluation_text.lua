--- What an evaluation has to say, of one run or of merged parts: its facts, the thresholds, the printed table.
---
---     local facts = evaluation_text.facts(sums, eva, isa, labels)
---     evaluation_text.print(streams, facts)
---     return evaluation_text.reached(args, facts, streams)
---
--- `sums` are those of `accuracy.compare`; `eva` is an Evaluator, or the options of one.

local command = require "espquant.command"
local version = require "espquant.version"

local M = {}

local OPTIONS = { "runtime", "chip", "bits", "granularity", "mode", "accumulator" }
local SUMS = { "images", "right", "float_right", "equal", "seconds", "float_seconds", "classes" }

local function percentage(text)
  local value = tonumber((text:gsub("%%$", "")))
  if not value or value < 0 or value > 100 then return nil, ("'%s' is no percentage"):format(text) end
  return value
end

--- The options of thresholds.
function M.add_gates(parser)
  parser:option "--min-accuracy":argname "PERCENT":convert(percentage)
    :description "Exit with 1 when the integer model's accuracy is lower."
  parser:option "--min-agreement":argname "PERCENT":convert(percentage)
    :description "Exit with 1 when fewer images get the float model's class."
end

local function pick(from, names)
  local picked = {}
  for _, name in ipairs(names) do picked[name] = from[name] end
  return picked
end

--- What an Evaluator computes, by name.
function M.options(eva) return pick(eva, OPTIONS) end

--- The numbers that parts add up.
function M.sums(sums) return pick(sums, SUMS) end

--- The facts, as JSON has them.
function M.facts(sums, eva, isa, labels)
  local n, facts = sums.images, M.options(eva)
  facts.images, facts.isa, facts.tool = n, isa, "espquant " .. version
  facts.accuracy, facts.float_accuracy = labels and sums.right / n, labels and sums.float_right / n
  facts.agreement, facts.classes = sums.equal / n, sums.classes
  facts.images_per_second, facts.float_images_per_second = n / sums.seconds, n / sums.float_seconds
  return facts
end

local function percent(x)
  return x and ("%.2f %%"):format(100 * x) or "-"
end

local function print_facts(streams, f)
  command.print_columns(streams, {
    { "model", "accuracy", "agreement", "images/s" },
    { "float", percent(f.float_accuracy), "", command.thousands(f.float_images_per_second // 1) },
    { ("int%d %s"):format(f.bits, f.granularity or "v3 " .. f.chip), percent(f.accuracy), percent(f.agreement),
      command.thousands(f.images_per_second // 1) },
  }, { false, true, true, true })
end

local function print_classes(streams, classes)
  local rows = { { "class", "images", "float", "integer" } }
  for i, c in ipairs(classes) do
    rows[i + 1] = { c.name, command.thousands(c.images), percent(c.float_right / c.images),
      percent(c.right / c.images) }
  end
  command.print_columns(streams, rows, { false, true, true, true })
end

--- Prints a table of them.
function M.print(streams, facts)
  print_facts(streams, facts)
  if facts.classes then print_classes(streams, facts.classes) end
end

-- A number as it was typed: 99 and not 99.0, 99.5.
local function plain(x)
  return ("%.10g"):format(x)
end

--- Says which thresholds were missed, with what was reached; true if none was. Rounds towards what is missing.
function M.reached(args, facts, streams)
  local ok = true
  for _, what in ipairs { "accuracy", "agreement" } do
    local wanted, got = args["min_" .. what], facts[what]
    if wanted and got * 100 < wanted then
      ok = false
      streams.stderr:write(("espquant: %s: %s %% reached (%d of %d images), at least %s %% asked for (--min-%s)\n")
        :format(what, plain(math.floor(got * 1e6) / 1e4), math.floor(got * facts.images + 0.5), facts.images,
          plain(wanted), what))
    end
  end
  return ok
end

return M
