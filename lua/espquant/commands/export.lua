--- espquant export: what a chip loads: coefficients as C++ (ESP-DL v1), or an .espdl file (v3).

local Calibrator = require "espquant.calibrator"
local command = require "espquant.command"
local errors = require "espquant.errors"

local M = { name = "export", summary = "write a quantized model for a chip: C++ coefficients, or an .espdl file" }

local function pair(text)
  local key, value = text:match "^([^=]+)=(.*)$"
  if not key then return nil, ("--metadata: '%s' is not KEY=TEXT"):format(text) end
  return { key = key, value = value }
end

local function version(text)
  if text:match "^%d+%.%d+[%.%d]*$" then return text end
  return nil, ("--runtime-version: '%s' is no version such as 3.3.9"):format(text)
end

M.examples = {
  "espquant export m.onnx -t m.pickle -o main",
  "espquant export m.onnx -t m.json --runtime v3 -o m.espdl -d images.npy",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file that was calibrated.")
  parser:option "-t --table":count "1":argname "TABLE":description "The quantization table, .pickle or .json."
  command.add_runtime(parser, { target = true })
  parser:option "-o --output":argname "PATH"
    :description "v1: a folder that exists (default: .); v3: the file (default: MODEL.espdl)."
  parser:option "--name":argname "NAME":description "v1: of both files, and of the namespace (default: coefficient)."
  parser:flag "--info":description "v1: also print the exponents of every layer."
  command.add_quantization(parser)
  command.add_data(parser, "v3: data whose first image becomes a test of the model in the file.")
  parser:option "--intermediate":count "*":argname "NAME"
    :description "v3: a tensor that the test compares besides the outputs; repeatable."
  parser:option "--metadata":count "*":argname "KEY=TEXT":convert(pair)
    :description "v3: a text in the file; repeatable."
  parser:option "--runtime-version":argname "V":convert(version)
    :description "v3: the version of ESP-DL that will load the file (default: 3.3.9)."
  command.add_key(parser, "v3: encrypt the model with this key of 32 hexadecimal digits.")
  parser:flag "--encrypt":description "v3: encrypt it with a random key, which is printed and kept nowhere."
end

-- Options of one runtime are a mistake with the other.
local OF_V1, OF_V3 = { "name", "info" }, { "data", "intermediate", "metadata", "runtime_version", "key", "encrypt" }

local function conflict(args, runtime)
  for _, key in ipairs(runtime == "v3" and OF_V1 or OF_V3) do
    local value = args[key]
    if value ~= nil and value ~= false and not (type(value) == "table" and #value == 0) then
      return ("--%s is not of runtime %s"):format(key:gsub("_", "-"), runtime)
    end
  end
end

local function export_cpp(args, streams, model, t, settings)
  local exporter = require "espquant.export.cpp"
  errors.check(exporter.write(model, t, {
    bits = settings.bits == "int16" and 16 or 8, granularity = settings.granularity, mode = settings.mode or "chip",
    target = args.target or "esp32s3", path = args.output or ".", name = args.name or "coefficient",
    print_model_info = args.info, log = function(text) streams.stdout:write(text, "\n") end,
  }))
end

-- The first image of the data, a tensor for each input of the model; nil without data.
local function first_image(args, model, streams)
  if #args.data == 0 then return nil end
  local next_batch, state, first = command.data(args, model, streams):batches()
  local batch = next_batch(state, first)
  if not batch then errors.raise("format", "--data: there is no image") end
  local list, by_name = type(batch) == "table" and batch or { batch }, {}
  for i, input in ipairs(model.inputs) do by_name[input.name] = list[i]:slice(1, 1) end
  return by_name
end

-- Bytes that nobody can guess.
local function random_key()
  local file <close>, why = io.open("/dev/urandom", "rb")
  if not file then errors.raise("io", why) end
  return file:read(16)
end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function export_espdl(args, streams, model, t, settings)
  local metadata = {}
  for _, each in ipairs(args.metadata) do metadata[each.key] = each.value end
  local calib = Calibrator { bits = settings.bits, runtime = "v3", target = settings.target }
  local path = args.output or command.beside(args.model, ".espdl")
  local key = args.encrypt and random_key() or args.key
  calib:export_espdl(model, t, path, {
    test_input = first_image(args, model, streams), intermediates = args.intermediate, metadata = metadata,
    runtime_version = args.runtime_version, key = key,
  })
  streams.stdout:write(path, "\n", args.encrypt and "key " .. hex(key) .. "\n" or "")
end

function M.run(args, streams)
  local t = command.table(args.table)
  local settings = command.settings(args, t)
  local runtime = settings.runtime or "v1"
  local wrong = command.conflict(settings) or command.wrong_target(settings) or conflict(args, runtime)
    or runtime == "v3" and args.output and command.overwrites(args.output, args.model, args.table,
      table.unpack(args.data))
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  command.note_other_model(args.table, t, model, streams)
  local export = runtime == "v3" and export_espdl or export_cpp
  export(args, streams, model, t, settings)
  return true
end

return M
