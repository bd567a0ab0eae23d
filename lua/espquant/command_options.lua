--- The options of quantization that the commands share, and what becomes of them: a part of `espquant.command`.

local config = require "espquant.auto.config"
local core = require "espquant.core"
local errors = require "espquant.errors"
local options = require "espquant.quant.options"

local M = {}

local MAX_CONFIG = 1 << 24 -- bytes of a file of options
local CONFIG_OPTIONS = { "runtime", "target", "observer", "weight_observer", "layers" }

--- An option with a few values. Other than argparse's own choices, a refusal says what was got.
function M.add_choice(parser, name, values)
  local known = {}
  for _, value in ipairs(values) do known[value] = value end
  return parser:option(name):argname("{" .. table.concat(values, ",") .. "}"):convert(function(text)
    if known[text] then return text end
    return nil, ("%s: '%s' is not one of %s"):format(name, text, table.concat(values, ", "))
  end)
end

--- The names in "a,b" as a list; `what` is what each of them is. An empty list, an empty name, one that is not in the
--- list `known` (where there is one) and one that comes twice are refused: nil, message.
function M.name_list(text, what, known)
  local list, allowed, seen = {}, {}, {}
  for _, name in ipairs(known or {}) do allowed[name] = true end
  for word in (text .. ","):gmatch "([^,]*)," do
    local name = word:match "^%s*(.-)%s*$"
    if name == "" then return nil, ("'%s': the name of a %s is missing; write A,B"):format(text, what) end
    if known and not allowed[name] then return nil, ("unknown %s '%s'"):format(what, name) end
    if seen[name] then return nil, ("%s '%s' comes twice"):format(what, name) end
    seen[name], list[#list + 1] = true, name
  end
  return list
end

--- --bits, --granularity and --mode; `more` may ask for method and target. Nothing has a default here: what is not
--- given comes from the table, or from the defaults of Calibrator and Evaluator.
function M.add_quantization(parser, more)
  more = more or {}
  M.add_choice(parser, "--bits", options.values "bits"):description "Width of the integers (default: int8)."
  M.add_choice(parser, "--granularity", options.values "granularity")
    :description "One exponent per weight, or one per output channel (default: per-tensor)."
  if more.method then
    M.add_choice(parser, "--method", options.values "method")
      :description "How the exponents of activations are found (default: minmax)."
  end
  M.add_choice(parser, "--mode", options.values "mode")
    :description "What the chip computes, or the figures of the original toolkit (default: chip)."
end

--- --runtime, and with more.target --target for both runtimes.
function M.add_runtime(parser, more)
  M.add_choice(parser, "--runtime", options.values "runtime")
    :description "Which ESP-DL will run the model: v1, or v3 (default: v1)."
  if not (more and more.target) then return end
  local chips, known = options.values "target", {}
  for _, chip in ipairs(chips) do known[chip] = true end
  for _, chip in ipairs(options.values("target", "v3")) do
    if not known[chip] then chips[#chips + 1] = chip end
  end
  M.add_choice(parser, "--target", chips):description "The chip (default: esp32s3)."
end

--- What ESP-DL v3's calibration takes besides.
function M.add_observers(parser)
  parser:option "--config":argname "FILE"
    :description "v3: options from a file that espquant auto wrote; those on the command line go before them."
  M.add_choice(parser, "--observer", options.values "observer")
    :description "v3: how the exponents of activations are found (default: kl; int16: minmax)."
  M.add_choice(parser, "--weight-observer", options.values "weight_observer")
    :description "v3: how those of weights are found (default: percentile; int16 and per channel: minmax)."
  for _, width in ipairs { "int8", "int16", "float" } do
    parser:option("--" .. width):count "*":argname "LAYERS":convert(function(text)
      return M.name_list(text, "layer")
    end):description(("v3: layers of that width, by the names of nodes or tensors, A,B; '*' stands for any text (%s)")
      :format(width))
  end
end

--- What commands that simulate a table take: --runtime, --chip and what v1 has besides.
function M.add_simulation(parser)
  M.add_runtime(parser)
  M.add_choice(parser, "--chip", options.values("chip", "v3"))
    :description "The chip that is simulated (default: that of the table, else esp32s3)."
  parser:option "--runtime-version":argname "VERSION"
    :description "v3: as the kernels of that ESP-DL compute, such as 3.3.9 (default: as its quantizer simulates)."
  M.add_accumulator(parser)
  M.add_quantization(parser)
end

--- --accumulator.
function M.add_accumulator(parser)
  M.add_choice(parser, "--accumulator", options.values "accumulator")
    :description "What holds sums: exact, or the ESP32-S3's lanes, which saturate at every step (default: exact)."
end

-- The options in the file of --config, or none.
local function config_of(args)
  if not args.config then return {} end
  local bytes = errors.check(core.read_file(args.config, MAX_CONFIG))
  local given, message, code = config.decode(bytes)
  if not given then errors.raise(code, ("%s: %s"):format(args.config, message)) end
  given.bits, given.runtime = given.bits or "int8", given.runtime or "v3"
  local ok, wrong = errors.pcall(options.parse, { given }, { "bits" }, CONFIG_OPTIONS)
  if not ok then errors.raise("format", ("%s: %s"):format(args.config, wrong)) end
  return given
end

-- The option `layers` of a Calibrator, from --int8, --int16, --float and the file's.
local function layers_of(args, given)
  local layers = {}
  for _, width in ipairs { "int8", "int16", "float" } do
    for _, names in ipairs(args[width] or {}) do
      for _, name in ipairs(names) do
        if layers[name] then errors.raise("format", ("layer '%s' has two widths"):format(name)) end
        layers[name] = width
      end
    end
  end
  for name, layer in pairs(type(given) == "table" and given or {}) do layers[name] = layers[name] or layer end
  return next(layers) and layers
end

--- Options that are allowed one by one but not together: the reason, or nil.
function M.conflict(o)
  local ok, reason = errors.pcall(options.check_combination, o)
  return not ok and reason or nil
end

--- The reason that the runtime does not have the target that was given, or nil.
function M.wrong_target(settings)
  if not settings.target then return nil end
  local ok, reason = errors.pcall(options.check, "target", settings.target, settings.runtime or "v1")
  return not ok and reason or nil
end

--- The options of a Calibrator or Evaluator: what was given, then what the table says.
function M.settings(args, t)
  local facts, given = t and t.facts or {}, config_of(args)
  if (args.runtime or facts.runtime or given.runtime) == "v3" then
    return {
      bits = args.bits or facts.bits and "int" .. facts.bits or given.bits or "int8", runtime = "v3", mode = args.mode,
      target = args.target or facts.target or given.target, threads = args.threads, granularity = args.granularity,
      method = args.method, observer = args.observer or given.observer,
      weight_observer = args.weight_observer or given.weight_observer, layers = layers_of(args, given.layers),
    }
  end
  return {
    observer = args.observer, weight_observer = args.weight_observer, layers = layers_of(args), target = args.target,
    bits = args.bits or facts.bits and "int" .. facts.bits or "int8",
    granularity = args.granularity or facts.granularity or "per-tensor",
    method = args.method, mode = args.mode or facts.mode, threads = args.threads,
  }
end

--- The options of an Evaluator: what was given, then what the table says.
function M.simulation(args, t)
  local all = M.settings(args, t)
  local is_v3 = all.runtime == "v3"
  return {
    bits = all.bits, granularity = all.granularity, mode = all.mode, threads = all.threads, runtime = all.runtime,
    chip = args.chip or is_v3 and all.target or nil, runtime_version = args.runtime_version,
    accumulator = args.accumulator,
  }
end

return M
