--- espquant auto: the cheapest configuration of ESP-DL v3 that meets a goal.

local accuracy = require "espquant.accuracy"
local auto = require "espquant.auto"
local command = require "espquant.command"
local config = require "espquant.auto.config"
local core = require "espquant.core"
local errors = require "espquant.errors"
local goals = require "espquant.auto.goal"
local json = require "espquant.json"

local M = { name = "auto", summary = "find the cheapest layers at int16 and observers that meet a goal (v3)" }

M.examples = {
  "espquant auto m.onnx -d images.npy --goal 'agreement >= 0.99'",
  "espquant auto m.onnx -d photos -l labels.npy --goal 'accuracy >= 97 %'",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file (optimize it first).")
  command.add_data(parser)
  parser:option "-g --goal":count "1":argname "GOAL":convert(goals.parse)
    :description("What to reach: 'agreement >= 0.99', 'accuracy >= 97 %', 'snr >= 30' (dB), or 'score.lua >= 0.5', a "
      .. "script that returns a function (float outputs, integer model's outputs, images) -> number.")
  command.add_runtime(parser, { target = true })
  parser:option "-l --labels":argname "FILE"
    :description "The right classes for the goal 'accuracy' (default: those in --data)."
  parser:option "-o --output":argname "FILE"
    :description "The configuration, for calibrate --config (default: MODEL_auto.json)."
  parser:option "-t --table":argname "TABLE":description "Also the quantization table, .json."
  parser:option "--state":argname "FILE"
    :description "Where figures are kept, so that an interrupted search goes on (default: MODEL_auto_state.json)."
  command.add_threads(parser)
  command.add_json(parser)
end

local function figure(goal, score)
  if goal.metric == "snr" then return ("%.2f dB"):format(score) end
  if goal.score then return ("%.6g"):format(score) end
  return ("%.2f %%"):format(100 * score)
end

local function observers_text(c)
  return (c.observer or "default") .. (c.weight_observer and " / " .. c.weight_observer or "")
end

-- A row of what was measured.
local function row_of(row, goal)
  return { row.label, observers_text(row.config), tostring(#row.config.wide), ("%.1f %%"):format(100 * row.cost),
    figure(goal, row.score), ("%.2f"):format(row.snr) }
end

local function print_rows(streams, found)
  local list, rows = table.move(found.rows, 1, #found.rows, 1, {}), {}
  local order = {}
  for i, row in ipairs(found.rows) do order[row] = i end
  table.sort(list, function(a, b)
    if a.cost ~= b.cost then return a.cost < b.cost end
    return order[a] < order[b]
  end)
  rows[1] = { "configuration", "observers", "int16", "work", found.goal.metric, "SNR dB" }
  for _, row in ipairs(list) do rows[#rows + 1] = row_of(row, found.goal) end
  command.print_columns(streams, rows, { false, false, true, true, true, true })
end

local function print_found(streams, found, output)
  print_rows(streams, found)
  local layers = {}
  for name in pairs(found.config.layers or {}) do layers[#layers + 1] = name end
  table.sort(layers)
  streams.stdout:write(("\n%s: %s, with %s%s\n"):format(found.reached and "reached" or "NOT reached", found.goal.text,
    figure(found.goal, found.score), #layers > 0 and "; int16: " .. table.concat(layers, ", ") or "; all int8"))
  streams.stdout:write(("%s: for espquant calibrate --config\n"):format(output))
end

local function facts_of(found, output)
  local rows = {}
  for i, row in ipairs(found.rows) do
    rows[i] = { label = row.label, observer = row.config.observer, weight_observer = row.config.weight_observer,
      int16 = #row.config.wide, work = row.cost, score = row.score, snr_db = row.snr }
  end
  return { reached = found.reached, goal = found.goal.text, score = found.score, snr_db = found.snr, work = found.cost,
    output = output, config = json.object(config.document(found.config)), rows = json.array(rows) }
end

-- The reason that the options do not go together, or nil.
local function wrong_options(args, output, state)
  if args.runtime == "v1" then return "auto is for runtime v3" end
  if args.table and not args.table:lower():match "%.json$" then
    return ("--table: a table of runtime v3 is JSON, '%s' does not end in .json"):format(args.table)
  end
  for _, path in ipairs { output, state, args.table } do
    local wrong = command.overwrites(path, args.model, table.unpack(args.data))
    if wrong then return wrong end
  end
end

function M.run(args, streams)
  local output = args.output or command.beside(args.model, "_auto.json")
  local state = args.state or command.beside(args.model, "_auto_state.json")
  local wrong = wrong_options(args, output, state)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  local data = command.data(args, model, streams)
  local labels = args.goal.metric == "accuracy" and accuracy.labels(data, args.labels)
  if args.goal.metric == "accuracy" and not labels then
    return command.usage(streams, "the goal 'accuracy' needs --labels, or data that has labels")
  end
  local found = auto(model, data, {
    goal = args.goal.text, target = args.target, labels = labels or nil, state = state, threads = args.threads,
    log = function(row) streams.stderr:write("espquant: ", table.concat(row_of(row, args.goal), "  "), "\n") end,
  })
  errors.check(core.write_file(output, config.encode(found.config)))
  if args.table then errors.check(found.table:save(args.table)) end
  if args.json then command.print_json(streams, facts_of(found, output)) else print_found(streams, found, output) end
  return found.reached
end

return M
