--- What the commands share: their options, how they open models, tables and datasets, and how they print facts.
---
--- Opening raises an error object, which the command line prints as one message and turns into an exit code. Notes
--- about files go to standard error, results to standard output.

local columns = require "espquant.columns"
local core = require "espquant.core"
local csv = require "espquant.dataset.csv"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local espdl = require "espquant.espdl"
local json = require "espquant.json"
local onnx = require "espquant.onnx"
local provenance = require "espquant.provenance"
local qtable = require "espquant.qtable"
local raw = require "espquant.dataset.raw"
local shell = require "espquant.shell"

local M = {}

-- --- options ------------------------------------------------------------------------------------------------------

for name, f in pairs(require "espquant.command_options") do M[name] = f end

-- A factor such as "0.5" or "1/256".
local function factor(text)
  local above, below = text:match "^([%d.eE+-]+)/([%d.eE+-]+)$"
  local value = above and tonumber(above) and tonumber(below) and tonumber(above) / tonumber(below) or tonumber(text)
  if not value or value ~= value or math.abs(value) == math.huge then
    return nil, ("'%s' is no factor such as 1/256"):format(text)
  end
  return value
end

-- "1x28x28" or "40".
local function shape(text)
  local list = {}
  for word in (text:lower() .. "x"):gmatch "([^x]*)x" do
    list[#list + 1] = math.tointeger(tonumber(word)) or 0
    if list[#list] < 1 then return nil, ("'%s' is no shape such as 1x28x28"):format(text) end
  end
  return list
end

local SEPARATORS = { tab = "\t", ["\\t"] = "\t", space = " " }

local function separator(text)
  return csv.check_separator(SEPARATORS[text] or text)
end

-- Options of files of arrays on the command line: name -> option of espquant.dataset.
local FILE_OPTIONS = {
  data_shape = "shape", data_dtype = "dtype", data_array = "array", data_labels = "labels",
  data_separator = "separator", data_header = "header",
}

--- What tells how a file of arrays is to be read.
function M.add_file_options(parser)
  parser:option "--data-shape":argname "SHAPE":convert(shape)
    :description "Shape of one image, as 1x28x28: of a raw file, or what a row is folded into."
  parser:option "--data-dtype":argname "TYPE":convert(raw.check_dtype)
    :description "Raw files: type of a number (uint8, int16, float32 ...)."
  parser:option "--data-array":argname "NAME":description "Which array of an .npz or .pickle file."
  parser:option "--data-labels":argname "NAME"
    :description "Column (name, or number from 1) of a CSV file, or array of an .npz or .pickle file, with the classes."
  parser:option "--data-separator":argname "C":convert(separator)
    :description "CSV: character between fields, 'tab' or 'space' (default: ',', in .tsv a tab)."
  parser:option "--data-header":argname "yes|no":convert { yes = true, no = false }
    :description "CSV: whether the first line holds names (default: when none of them is a number)."
end

--- The options of espquant.dataset that add_file_options has read.
function M.file_options(args)
  local settings = { scale = args.scale }
  for key, option in pairs(FILE_OPTIONS) do settings[option] = args[key] end
  return settings
end

-- "0.485,0.456,0.406": a list of factors.
local function factors(text)
  local list = {}
  for word in (text .. ","):gmatch "([^,]*)," do
    local value, message = factor(word)
    if not value then return nil, message end
    list[#list + 1] = value
  end
  return #list > 1 and list or list[1]
end

local function side(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 or n > 65500 then return nil, ("'%s' is no number of pixels"):format(text) end
  return n
end

-- "224x192" (height x width), "224" for both.
local function size(text)
  local height, width = text:match "^(%d+)[xX](%d+)$"
  height, width = side(height or text), side(width or text)
  if not height or not width then return nil, ("'%s' is no size such as 224x224 (height x width)"):format(text) end
  return { height, width }
end

-- The options of pictures: the name on the command line -> that of espquant.dataset.
local PICTURE_OPTIONS = {
  image_size = "size", crop = "crop", channel_order = "order", layout = "layout", mean = "mean", std = "std",
}

local function add_picture_options(parser)
  parser:option "--mean":argname "M[,M,M]":convert(factors)
    :description "Pictures: what is subtracted after --scale, one number or one per channel."
  parser:option "--std":argname "S[,S,S]":convert(factors)
    :description "Pictures: what each number is then divided by."
  M.add_choice(parser, "--channel-order", { "rgb", "bgr", "gray" })
    :description "Pictures: their channels (default: gray or rgb, as many as the model has)."
  M.add_choice(parser, "--layout", { "nchw", "nhwc" })
    :description "Pictures: where the channels stand (default: from the model's input)."
  parser:option "--image-size":argname "HxW":convert(size)
    :description "Pictures: the size to resize to (default: that of the model's input)."
  parser:option "--crop":argname "N":convert(side)
    :description "Pictures: scale the shorter side to N and cut out the centre, instead of stretching."
end

--- --data, --scale and the options of files and pictures. `purpose` is what optional data is for.
function M.add_data(parser, purpose)
  parser:option "-d --data":count(purpose and "*" or "+"):argname "FILE"
    :description((purpose and purpose .. " " or "") .. ".npy, .npz, IDX (also .gz), .pickle, .csv or raw file, "
      .. "images first; a PNG or JPEG file, or a folder of them; NAME=FILE, repeated, for a model of several inputs.")
  parser:option "--scale":argname "FACTOR":convert(factor)
    :description "What each number of the data is multiplied by, for example 1/256."
  M.add_file_options(parser)
  add_picture_options(parser)
end

-- What joins the parts of a value that is a list; "," else.
local BETWEEN = { shape = "x", size = "x" }

--- The options of add_data that were given, as a shell takes them.
function M.data_words(args)
  local words, names = {}, { { "--scale", "scale" } }
  for i, path in ipairs(args.data) do words[i] = "--data " .. shell.quoted(path) end
  for _, options in ipairs { FILE_OPTIONS, PICTURE_OPTIONS } do
    for key, option in pairs(options) do
      local name = "--" .. key:gsub("_", "-")
      names[#names + 1] = { name, key, BETWEEN[option] or "," }
    end
  end
  table.sort(names, function(a, b) return a[1] < b[1] end)
  table.move(shell.options(names, args), 1, #names, #words + 1, words)
  return table.concat(words, " ")
end

local function count(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 0 or n > 1024 then return nil, ("'%s' is no number of threads"):format(text) end
  return n
end

local function positive(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 then return nil, ("'%s' is no positive number"):format(text) end
  return n
end

function M.add_threads(parser)
  parser:option "-j --threads":argname "N":convert(count)
    :description "Threads (default: one per CPU); results do not depend on it."
end

local function shard(text)
  local index, count = text:match "^(%d+)/(%d+)$"
  index, count = math.tointeger(tonumber(index)), math.tointeger(tonumber(count))
  if not index or not count or index < 1 or index > count or count > 1000000 then
    return nil, ("'%s' is no shard such as 3/8, from 1/8 to 8/8"):format(text)
  end
  return { index = index, count = count }
end

--- --shard I/N: one part of the data.
function M.add_shard(parser)
  parser:option "--shard":argname "I/N":convert(shard):description "Which part of the data: the Ith of N."
end

-- "NAME=1x3x192x192"; the name may be left out where a model has one input.
local function named_shape(text)
  local name, dims = text:match "^(.*)=([^=]*)$"
  local list, message = shape(dims or text)
  return list and { name = name, shape = list }, message
end

--- --key: of an .espdl file that is encrypted.
function M.add_key(parser, description)
  parser:option "--key":argname "HEX":convert(espdl.key)
    :description(description or "The key of an encrypted .espdl file: 32 hexadecimal digits.")
end

--- The .onnx file that a command reads, as the argument `name`, with --shape, --limit-bytes and the like.
function M.add_model(parser, name, description)
  local argument = parser:argument(name or "model"):description(description or "The .onnx file.")
  parser:option "--shape":count "*":argname "NAME=1x3x8x8":convert(named_shape)
    :description "The shape of an input, in place of the file's; NAME= may be left out where there is one input."
  for _, limit in ipairs(core.onnx_limits()) do
    parser:option("--limit-" .. limit.name):argname "N":convert(positive)
      :description(("At most so many %s (default: %d)."):format(limit.what, limit.usual))
  end
  return argument
end

--- The limits that were given, as options of espquant.onnx.load.
function M.limits(args)
  local limits = {}
  for _, limit in ipairs(core.onnx_limits()) do limits[limit.name] = args["limit_" .. limit.name] end
  return { limits = limits }
end

-- The shapes that were given by the inputs' names. The model is read once more for a name that was left out.
local function shapes_of(path, args)
  local shapes = {}
  for _, given in ipairs(args.shape or {}) do
    local name = given.name
    if not name then
      local inputs = errors.check(core.onnx_read(path, M.limits(args))).inputs
      if #inputs ~= 1 then
        errors.raise("format", ("--shape: %s has %d inputs; write NAME=SHAPE"):format(path, #inputs))
      end
      name = inputs[1].name
    end
    if shapes[name] then errors.raise("format", ("--shape: two for the input '%s'"):format(name)) end
    shapes[name] = given.shape
  end
  return shapes
end

function M.add_json(parser)
  parser:flag "--json":description "Print the facts as JSON."
end

-- --- usage --------------------------------------------------------------------------------------------------------

--- Says what is wrong with the options; a command returns this: the exit code of wrong usage.
function M.usage(streams, text)
  streams.stderr:write("espquant: ", text, "\n")
  return errors.EXIT.usage
end

-- --- files --------------------------------------------------------------------------------------------------------

--- The model at `path`, within the limits and with the shapes that were given; notes about odd contents go to standard
--- error. `read` may be espquant.onnx.read: then shapes are not inferred, and a model that does not fit together is no
--- error yet.
function M.model(path, args, streams, read)
  local reading = M.limits(args)
  reading.shapes = shapes_of(path, args)
  local model, notes = errors.check((read or onnx.load)(path, reading))
  for _, note in ipairs(notes or {}) do streams.stderr:write("espquant: note: ", path, ": ", note, "\n") end
  return model
end

function M.table(path)
  return errors.check(qtable.load(path))
end

--- Why a table cannot have this name, or nil: the ending decides its form.
function M.wrong_table_name(path)
  if path:lower():match "%.json$" or path:lower():match "%.pickle$" or path:lower():match "%.pkl$" then return nil end
  return ("--output: '%s' does not end in .json (espquant's form) or .pickle, .pkl (the original toolkit's)")
    :format(path)
end

--- The hash of a model in tables and reports.
function M.model_hash(model)
  return provenance.hash(model)
end

--- A word to whoever uses a table with another model than it was made for, as far as it says.
function M.note_other_model(path, t, model, streams)
  local made_for = t.facts.model
  if not made_for or made_for == M.model_hash(model) then return end
  streams.stderr:write(("espquant: warning: %s was made for another model (its hash begins with %s): calibrate this "
    .. "one\n"):format(path, made_for:sub(1, 12)))
end

-- Options for another kind of data are a mistake, which must not pass unseen.
local function refuse_options(path, args, names, what)
  for key in pairs(names) do
    if args[key] ~= nil then
      errors.raise("format", ("%s: --%s is for %s"):format(path, (key:gsub("_", "-")), what))
    end
  end
end

local function data_settings(path, args)
  if not dataset.is_pictures(path, args.data_dtype) then
    refuse_options(path, args, PICTURE_OPTIONS, "PNG and JPEG files")
    return M.file_options(args)
  end
  refuse_options(path, args, FILE_OPTIONS, "files of arrays")
  local settings = { scale = args.scale, threads = args.threads }
  for key, option in pairs(PICTURE_OPTIONS) do settings[option] = args[key] end
  return settings
end

local function open_data(path, args, streams)
  local data = errors.check(dataset.open(path, data_settings(path, args)))
  for _, note in ipairs(data.notes or {}) do streams.stderr:write("espquant: note: ", note, "\n") end
  return data
end

--- The dataset of --data and its options for the model; notes about it go to standard error.
function M.data(args, model, streams)
  local known, sources, named = {}, {}, false
  for _, input in ipairs(model.inputs) do known[input.name] = true end
  for _, word in ipairs(args.data) do
    local name, path = word:match "^([^=]+)=(.+)$"
    named = known[name] or named
    sources[known[name] and name or #sources + 1] = open_data(known[name] and path or word, args, streams)
  end
  if #sources == 1 and not named then return errors.check(dataset.of(sources[1], model)) end
  if #sources > 0 then
    errors.raise("format", "several files of data: write NAME=FILE with the name of an input for each of them")
  end
  return errors.check(dataset.of(sources, model))
end

--- `mnist.onnx` with "_calib.pickle" for ".onnx".
function M.beside(path, ending)
  return (path:gsub("%.[oO][nN][nN][xX]$", "")) .. ending
end

-- Whether two names lead to one file: no output may overwrite its own input.
local function same_file(a, b)
  local function plain(path) return (path:gsub("/%./", "/"):gsub("^%./", ""):gsub("//+", "/")) end
  return plain(a) == plain(b)
end

--- The reason that `output` must not be written, or nil.
function M.overwrites(output, ...)
  for _, input in ipairs { ... } do
    if same_file(output, input) then return ("'%s' is an input; choose another name with -o"):format(output) end
  end
end

-- --- printing -----------------------------------------------------------------------------------------------------

--- One JSON value, an item a line.
function M.print_json(streams, value)
  streams.stdout:write(json.encode(value, { indent = 1, levels = 2 }), "\n")
end

--- Rows of strings in aligned columns, as `espquant.columns` has them.
function M.print_columns(streams, rows, right)
  streams.stdout:write(columns(rows, right), "\n")
end

--- "12,345".
function M.thousands(n)
  local text = ("%d"):format(n)
  repeat
    local changed
    text, changed = text:gsub("^(%-?%d+)(%d%d%d)", "%1,%2")
  until changed == 0
  return text
end

--- "1 node", "2 nodes".
function M.plural(n, noun)
  return ("%s %s%s"):format(M.thousands(n), noun, n == 1 and "" or "s")
end

--- Seconds since some moment, for speeds.
M.clock = core.clock

return M
