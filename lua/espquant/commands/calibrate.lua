--- espquant calibrate: from a float model and sample data to a quantization table.

local Calibrator = require "espquant.calibrator"
local calibration_options = require "espquant.calibration_options"
local command = require "espquant.command"
local json = require "espquant.json"

local M = { name = "calibrate", summary = "measure a model over sample data and write a quantization table" }

M.examples = {
  "espquant calibrate m.onnx -d images.npy -o m.json",
  "espquant calibrate m.onnx -d photos --runtime v3 --target esp32p4 -o m.json",
  "espquant calibrate m.onnx -d digits-idx3-ubyte.gz --scale 1/256 --method entropy -o m.pickle",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file (optimize it first).")
  command.add_data(parser)
  parser:option "-o --output":argname "TABLE"
    :description("Where to write: .json, or for v1 the original toolkit's .pickle (default: MODEL_calib.pickle, v3: "
      .. "MODEL_calib.json).")
  calibration_options.add(parser)
  command.add_json(parser)
end

-- A table of v3 is JSON, which the name decides.
local function wrong_name(settings, output)
  if settings.runtime == "v3" and not output:lower():match "%.json$" then
    return ("--output: a table of runtime v3 is JSON, '%s' does not end in .json"):format(output)
  end
end

function M.run(args, streams)
  local settings, conflict = calibration_options.settings(args, streams)
  local ending = settings.runtime == "v3" and "_calib.json" or "_calib.pickle"
  local output = args.output or command.beside(args.model, ending)
  local wrong = conflict or command.overwrites(output, args.model, table.unpack(args.data))
    or wrong_name(settings, output) or command.wrong_table_name(output)
  if wrong then return command.usage(streams, wrong) end
  local model, calib = command.model(args.model, args, streams), Calibrator(settings)
  local t = calib:generate_quantization_table(model, command.data(args, model, streams), output)
  if args.json then
    command.print_json(streams, {
      output = output, images = calib.images, entries = #t.entries, bits = calib.bits, granularity = calib.granularity,
      method = calib.method, mode = calib.mode, target = t.facts.target, isa = t.facts.isa, model = t.facts.model,
      data = t.facts.data, tool = t.facts.tool, runtime = t.facts.runtime == "v3" and "v3" or nil,
      observer = t.facts.observer, weight_observer = t.facts.weight_observer,
      layers = t.facts.layers and json.object(t.facts.layers),
      warnings = json.array { table.unpack(t.warnings) }, boundary = json.array { table.unpack(t.boundary) },
    })
  else
    streams.stdout:write(t:summary(), "\n")
    streams.stdout:write(("%s: %d entries from %d images\n"):format(output, #t.entries, calib.images))
    if #t.boundary > 0 then
      streams.stdout:write("so close to where the exponent changes that another instruction set (--isa) may give another: ",
        table.concat(t.boundary, ", "), "\n")
    end
  end
  return true
end

return M
