--- Methods of a model that are written in Lua: model:run, model:check. Requiring this module adds them to the class of
--- graphs.
---
---     local outputs, names = model:run(images)                               -- floats, N first
---     local conv = model:run(images, { outputs = { "conv1_out" } })[1]       -- any tensor, by name
---     local ok, message, code, problems = model:check { mode = "chip" }

local core = require "espquant.core"
local check = require "espquant.quant.check"
local options_of = require "espquant.quant.options"

local M = {}

-- model -> executor of its own outputs, as long as the model lives and is not edited.
local executors = setmetatable({}, { __mode = "k" })

local function executor(model)
  local exec = executors[model]
  local message, code
  if exec and not exec.stale then return exec end
  if exec then exec:close() end
  exec, message, code = core.executor(model)
  executors[model] = exec
  return exec, message, code
end

-- With options the executor serves this one run: its threads and packed weights do not wait for the collector.
local function run_once(model, images, options)
  local exec <close>, message, code = core.executor(model, options)
  if not exec then return nil, message, code end
  return exec:run(images)
end

--- Runs the model on images: a tensor, or a list of one tensor per input. Returns the list of outputs and the list of
--- their names; or nil, message, code. Options: outputs (names of tensors), threads, micro_batch, isa.
function M.run(model, images, options)
  if options ~= nil and type(options) ~= "table" then
    error(("run: options expected, got %s"):format(type(options)), 2)
  end
  if options and next(options) then return run_once(model, images, options) end
  local exec, message, code = executor(model)
  if not exec then return nil, message, code end
  return exec:run(images)
end

--- Can the model be quantized? True, or nil, message, code, and the list of problems, each with node, op, shapes,
--- cause, remedy. Options: mode "chip" (default) or "original", role "calibrator" (default) or "evaluator" in the
--- original.
function M.check(model, options)
  if type(options) ~= "table" then error(("check: options expected, got %s"):format(type(options)), 2) end
  local o = options_of.parse({ options }, {}, { "mode", "role" })
  return check(model, o.mode, o.role)
end

local methods = debug.getmetatable(core.graph {}).__methods
methods.run = M.run
-- `check` verifies a graph against the operator table; with options it answers for quantization.
local verify = methods.check
function methods.check(model, options)
  if options == nil then return verify(model) end
  return M.check(model, options)
end

return M
