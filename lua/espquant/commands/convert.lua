--- espquant convert: the original's convert tool: config.json and .npy files become coefficients as C++.

local core = require "espquant.core"
local errors = require "espquant.errors"

local M = { name = "convert", summary = "write the coefficients of config.json and .npy files as C++" }

local GRANULARITY = { ["0"] = "per-tensor", ["1"] = "per-channel" }

M.examples = {
  "espquant convert folder -t esp32s3 -n coefficient -q per-channel",
}

function M.configure(parser)
  local chips = {}
  for i, target in ipairs(core.targets()) do chips[i] = target.chip end
  parser:argument("folder"):args "?":description "With config.json and <layer>_filter.npy, <layer>_bias.npy ..."
  parser:option "-i --input":argname "FOLDER":description "The same, as the original's option."
  parser:option "-t --target":choices(chips):default "esp32s3":description "The chip."
  parser:option "-j --config":argname "FILE":default "config.json"
    :description "What describes the layers, in the folder."
  parser:option "-n --name":argname "NAME":default "coefficient":description "Of both files, and of the namespace."
  parser:option "-o --output":argname "FOLDER":default ".":description "A folder that exists."
  parser:option "-q --granularity":choices { "0", "1", "per-tensor", "per-channel" }:default "per-tensor"
    :description "One exponent per filter (0), or one per output channel (1)."
end

function M.run(args, streams)
  if (args.folder == nil) == (args.input == nil) then
    streams.stderr:write "espquant: name one folder: espquant convert FOLDER, or -i FOLDER\n"
    return errors.EXIT.usage
  end
  errors.check(require "espquant.export.convert".write {
    folder = args.folder or args.input, config = args.config, target = args.target,
    granularity = GRANULARITY[args.granularity] or args.granularity, path = args.output, name = args.name,
    log = function(text) streams.stdout:write(text, "\n") end,
  })
  return true
end

return M
