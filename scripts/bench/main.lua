--- The benchmark: builds the models, measures each in a process of its own, prints a table. Started by `run`.

local json = require "espquant.json"

local USAGE = [[
usage: scripts/bench/run [--quick] [--models a,b] [--json] [--save FOLDER]

Builds the bench models and prints for each: seconds to load, to optimize, to calibrate on 64 images with 2 threads
(minmax, entropy; int8 per-channel); "collect", the time of the pass that observes every tensor over that of plain
inference of the same images; images per second of the float model and of the int8 (per-channel) and int16 simulation
with 1 and 2 threads; peak megabytes up to the end of calibration, the images included; the machine's load average.

  --quick        fewer images and less repetition
  --models a,b   only these; all are: %s
  --json         one line of JSON per model, with more numbers, medians among them
  --save FOLDER  leave the models there as NAME.onnx and NAME.chip.onnx
]]

local COLUMNS = {
  { "model", "model", "%-22s" }, { "load", "load", "%8.4f" }, { "optimize", "optimize", "%9.4f" },
  { "minmax", "minmax", "%8.3f" }, { "entropy", "entropy", "%8.3f" },
  { "collect", "collected", "%8.2f" },
  { "float", "float_1", "%9.0f" }, { "2 thr", "float_2", "%9.0f" },
  { "int8", "int8_1", "%9.0f" }, { "2 thr", "int8_2", "%9.0f" },
  { "int16", "int16_1", "%9.0f" }, { "2 thr", "int16_2", "%9.0f" },
  { "MB", "calibration_memory", "%7.0f" }, { "load", "load_average", "%6.2f" },
}

local launcher, here = arg[1], arg[0]:match "^(.*)/"
local models = dofile(here .. "/models.lua")

local function fail(message)
  io.stderr:write("scripts/bench/run: ", message, "\n")
  os.exit(2)
end

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

local temporary -- a folder of ours

local function remove_temporary()
  if temporary then os.execute("rm -r " .. quote(temporary)) end
end

-- Runs measure.lua in a new process; returns what it printed.
local function child(...)
  local words = { quote(launcher), quote(here .. "/measure.lua") }
  for _, word in ipairs { ... } do words[#words + 1] = quote(tostring(word)) end
  local pipe <close> = assert(io.popen(table.concat(words, " ")))
  local text = pipe:read "a"
  if not pipe:close() then
    remove_temporary()
    fail(("%s %s: failed"):format((...), (select(2, ...))))
  end
  return text
end

local function parse(argv)
  local o, i = { models = models.names }, 2
  while argv[i] do
    local word = argv[i]
    if word == "--quick" or word == "--json" then
      o[word:sub(3)] = true
    elseif (word == "--models" or word == "--save") and argv[i + 1] then
      i = i + 1
      o[word:sub(3)] = argv[i]
    elseif word == "--help" or word == "-h" then
      io.write(USAGE:format(table.concat(models.names, ", ")))
      os.exit(0)
    else
      fail(("unknown option: %s (try --help)"):format(word))
    end
    i = i + 1
  end
  return o
end

-- The names of --models, each checked.
local function chosen(text)
  if type(text) == "table" then return text end
  local known, list = {}, {}
  for _, name in ipairs(models.names) do known[name] = true end
  for name in text:gmatch "[^,]+" do
    if not known[name] then fail(("no model '%s'; there are: %s"):format(name, table.concat(models.names, ", "))) end
    list[#list + 1] = name
  end
  return list
end

local function temporary_folder()
  local pipe <close> = assert(io.popen "mktemp -d")
  return assert(pipe:read "l", "mktemp failed")
end

local function print_row(fact)
  local cells = {}
  if fact then fact.collected = fact.collect / fact.inference end
  for i, column in ipairs(COLUMNS) do
    local format = column[3]
    cells[i] = fact and format:format(fact[column[2]]) or format:gsub("%.%d", ""):gsub("[fs]$", "s"):format(column[1])
  end
  print(table.concat(cells, " "))
  io.stdout:flush()
end

local function main()
  local o = parse(arg)
  local names = chosen(o.models)
  if o.save then os.execute("mkdir -p " .. quote(o.save)) else temporary = temporary_folder() end
  local folder = o.save or temporary
  if not o.json then print_row() end
  for _, name in ipairs(names) do
    local float, chip = folder .. "/" .. name .. ".onnx", folder .. "/" .. name .. ".chip.onnx"
    child("build", name, "float", float)
    child("build", name, "chip", chip)
    local line = child("measure", name, float, chip, o.quick and 16 or 64, o.quick and 0.2 or 2)
    if o.json then io.write(line) else print_row(json.decode(line)) end
  end
  remove_temporary()
end

main()
