--- Coefficients as C++ for ESP-DL v1: `<path>/<name>.cpp` and `.hpp`, the text of the original tool.
---
---     local cpp = require "espquant.export.cpp"
---     local ok, message, code, problems = cpp.write(model, qtable, {
---       bits = 8, granularity = "per-channel", target = "esp32s3", path = ".", name = "coefficient",
---       print_model_info = true, log = print, mode = "chip",
---     })
---
--- Conv, Gemm and activations become Filter, Bias and Activation objects of namespace `name`, called after their nodes;
--- an activation that is the only reader of a Conv or Gemm bears its name. The log describes all other nodes.
---
--- "original" mode refuses what the original refused, with the node's name. "chip" mode knows more: a MatMul with a
--- constant matrix is a Gemm without bias, missing attributes have their defaults, nodes without a name are called
--- after their output, equal names get a number. What the file cannot hold is logged as a warning.

local core = require "espquant.core"
local cpp_layers = require "espquant.export.cpp_layers"
local cpp_names = require "espquant.export.cpp_names"
local cpp_text = require "espquant.export.cpp_text"
local output = require "espquant.export.output"
local quant = require "espquant.quant"

local M = {}

-- --- checks, before anything is computed ----------------------------------------------------------------------------

local function refuse(problems, code)
  return output.refuse("the coefficients cannot be written", problems, code)
end

local function check(model, o)
  local ok, message, code = output.check_target(o.target)
  if ok and o.chip then ok, message, code = output.check_name(o.name) end
  if ok and o.chip then ok, message, code = core.check_folder(o.path) end
  if not ok then return nil, message, code end
  if not o.chip then return true end
  local fits, _, status, problems = quant.check(model, "chip", "calibrator")
  if fits then return true end
  return refuse(problems, status)
end

-- Facts of the table that another calibration left; a pickle has none.
local function check_facts(facts, o, problems)
  local wanted = { runtime = "v1", bits = o.bits, granularity = o.granularity }
  for _, key in ipairs { "runtime", "bits", "granularity" } do
    if facts[key] ~= nil and facts[key] ~= wanted[key] then
      problems[#problems + 1] = ("the table's %s is %s, expected %s"):format(key, facts[key], wanted[key])
    end
  end
end

-- --- everything together --------------------------------------------------------------------------------------------

local function read_options(qtable, options)
  local o = {
    bits = options.bits or qtable.facts.bits,
    granularity = options.granularity or qtable.facts.granularity or "per-tensor",
    target = options.target or "esp32s3", path = options.path or ".", name = options.name or "coefficient",
    log = options.log or print, chip = options.mode ~= "original", print_model_info = options.print_model_info,
  }
  assert(o.bits == 8 or o.bits == 16, "bits: 8 or 16 expected")
  quant.options.check("granularity", o.granularity)
  quant.options.check("mode", options.mode or "chip")
  quant.options.check_combination { bits = o.bits, granularity = o.granularity }
  return o
end

local function write(o, model, qtable)
  local names = cpp_names.new(o)
  local layers = cpp_layers.new {
    table = qtable, names = names, chip = o.chip, bits = o.bits, per_channel = o.granularity == "per-channel",
    target = o.target, log = o.log,
  }
  check_facts(qtable.facts, o, layers.problems)
  layers:collect(model)
  local info, namespace = o.print_model_info and layers:info(model) or {}, names:namespace(o.name)
  if #layers.problems > 0 then return refuse(layers.problems, "format") end
  local paths = { ("%s/%s.cpp"):format(o.path, o.name), ("%s/%s.hpp"):format(o.path, o.name) }
  local ok, message, code = output.write(paths, {
    cpp_text.cpp(o.name, namespace, layers.objects), cpp_text.hpp(namespace, layers.objects),
  })
  if not ok then return nil, message, code end
  o.log(("Exporting finish, the output files are: %s, %s"):format(paths[1], paths[2]))
  for _, line in ipairs(info) do o.log(line) end
  return true
end

--- Writes both files and logs what the original prints. `options`: bits (8 or 16), granularity, target ("esp32s3"),
--- path ("."), name ("coefficient"), print_model_info, log (print), mode ("chip" or "original"). Returns true, or nil,
--- message, code and the list of all problems; then no file has changed.
function M.write(model, qtable, options)
  local o = read_options(qtable, options)
  local converting = ("Converting coefficient to int%d %s quantization for %s"):format(o.bits, o.granularity, o.target)
  if not o.chip then o.log(converting) end -- the original announces what it then refuses
  local ok, message, code, problems = check(model, o)
  if not ok then return nil, message, code, problems end
  if not o.chip then return write(o, model, qtable) end
  o.log(converting)
  return output.write_then_log(o, write, model, qtable)
end

return M
