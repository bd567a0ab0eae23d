--- Everything that espquant does with a model, step by step, held to its contract: a step works, returns nil, message,
--- code, or raises an error object; never another error, never the code "bug", never more than LIMIT seconds of the
--- processor (other work on the machine is no reason to fail).
---
---     local p = pipeline.new(folder)
---     p:run(graph, 3)          -- 3: which configuration is tried
---     p.violations             -- list of texts; empty is right
---     p.outcomes               -- step -> { ok = n, format = n, ... }

local core = require "espquant.core"
local errors = require "espquant.errors"
require "espquant.model" -- model:run
local espquant = require "espquant"

local M = {}
M.__index = M

M.LIMIT = 2
local MOST_MACS, MOST_ELEMENTS, IMAGES = 2e8, 1 << 22, 3
local CODES = { io = true, format = true, unsupported = true, limit = true, memory = true }
local CONFIGURATIONS = {
  { bits = "int8", granularity = "per-channel", method = "minmax" },
  { bits = "int16", granularity = "per-tensor", method = "minmax" },
  { bits = "int8", granularity = "per-tensor", method = "entropy" },
}

function M.new(folder)
  return setmetatable({ folder = folder, violations = {}, outcomes = {}, slowest = 0 }, M)
end

function M:violate(step, text)
  self.violations[#self.violations + 1] = ("%s: %s: %s"):format(self.label or "?", step, text)
end

local function count(self, step, outcome)
  local o = self.outcomes[step] or {}
  self.outcomes[step] = o
  o[outcome] = (o[outcome] or 0) + 1
end

-- What a refusal must look like.
function M:judge(step, message, code)
  count(self, step, tostring(code))
  if not CODES[code] then self:violate(step, ("code '%s': %s"):format(tostring(code), tostring(message))) end
  if type(message) ~= "string" or #message < 12 then self:violate(step, "a poor message: " .. tostring(message)) end
  self.last = ("%s: %s [%s]"):format(step, tostring(message), tostring(code))
end

--- Runs f and returns its results, or nothing when it refused (or broke the contract, which is noted).
function M:step(step, f, ...)
  local started = os.clock()
  local r = table.pack(xpcall(f, function(e) return errors.is(e) and e or debug.traceback(tostring(e), 2) end, ...))
  local seconds = os.clock() - started
  if seconds > self.slowest then self.slowest = seconds end
  if seconds > M.LIMIT then self:violate(step, ("%.1f seconds"):format(seconds)) end
  if not r[1] then
    if errors.is(r[2]) then self:judge(step, r[2].message, r[2].code)
    else self:violate(step, "raises " .. tostring(r[2])) end
  elseif r[2] == nil then
    self:judge(step, r[3], r[4])
  else
    count(self, step, "ok")
    return table.unpack(r, 2, r.n)
  end
end

-- Rough cost of one image, from the shapes that are known.
local function elements(value)
  local n = 1.0
  for i, d in ipairs(value and value.shape or {}) do
    if math.type(d) == "integer" and i > 1 then n = n * math.max(d, 1) end
  end
  return n
end

-- Products for one element of the node's output.
local function fan_of(node)
  local n, weight = 1.0, node:input(2)
  if weight and weight.constant and weight.constant.rank > 1 then
    n = weight.constant.count / math.max(1, weight.constant.shape[1])
  elseif node.op_type == "MatMul" then
    n = elements(node:input(1))
  end
  local kernel = node:attr("kernel_shape", nil)
  for _, k in ipairs(type(kernel) == "table" and not node.op_type:match "Conv" and kernel or {}) do
    if math.type(k) == "integer" then n = n * math.max(1, math.min(k, 4096)) end
  end
  return math.max(1, n)
end

local function cost(graph)
  local macs, tensors = 0.0, 0.0
  for node in graph:nodes() do
    local output = node:output(1)
    local shape = output and output.shape or {}
    local first = math.type(shape[1]) == "integer" and math.max(shape[1], 1) or 1
    macs, tensors = macs + elements(output) * first * fan_of(node), tensors + elements(output) * first
  end
  return macs, tensors
end

local function image_of(input)
  local shape = input.shape
  if not shape then return nil end
  local dims, total = {}, 1.0
  for i, d in ipairs(shape) do
    dims[i] = math.type(d) == "integer" and d or i == 1 and IMAGES or 2
    total = total * math.max(1, dims[i])
  end
  if total > MOST_ELEMENTS then return nil end
  local list = {}
  for i = 1, math.tointeger(total) do list[i] = ((i * 37) % 255 - 127) / 128 end
  local t = core.tensor(dims, "float32")
  if t.count == #list and #list > 0 then t = core.tensor_from(list, "float32"):reshape(dims) end
  if input.dtype and input.dtype ~= "float32" then t = t:astype(input.dtype) end
  return t
end

local function images_of(graph)
  local list = {}
  for i, input in ipairs(graph.inputs) do
    list[i] = image_of(input)
    if not list[i] then return nil end
  end
  return list
end

local function quiet() end

-- Calibrates, writes and reads the table, simulates.
function M:quantize(graph, images, configuration, mode)
  local config = { mode = mode, log = quiet }
  for key, value in pairs(configuration) do config[key] = value end
  local calib = espquant.Calibrator(config)
  self:step("Calibrator:check_model", calib.check_model, calib, graph)
  local source = images[1]
  if #images > 1 then
    source = {}
    for i, input in ipairs(graph.inputs) do source[input.name] = images[i] end
  end
  local t = self:step("calibrate", calib.measure_table, calib, graph, source)
  if not t then return end
  local path = ("%s/table.%s"):format(self.folder, mode == "original" and "pickle" or "json")
  if not self:step("table save", t.save, t, path) then return end
  local loaded = self:step("table load", espquant.qtable.load, path)
  if not loaded then return end
  local eva = espquant.Evaluator { bits = config.bits, granularity = config.granularity, mode = mode }
  self:step("Evaluator:check_model", eva.check_model, eva, graph)
  self:step("generate " .. mode, function()
    eva:generate_quantized_model(graph, loaded)
    return true
  end)
  if not eva.exec then return end
  local inputs = #images > 1 and images or images[1]
  self:step("evaluate " .. mode, eva.evaluate_quantized_model, eva, inputs, true)
end

--- All steps on one graph; `number` chooses configuration and mode.
function M:run(graph, number)
  self:step("print", tostring, graph)
  self:step("check", graph.check, graph)
  local shaped = self:step("infer", graph.infer_shapes, graph)
  local macs, tensors = cost(graph)
  local images = shaped and images_of(graph)
  local optimized = self:step("optimize", espquant.optimizer.optimize, graph)
  self:step("dynamic", espquant.optimizer.convert_model_batch_to_dynamic, graph)
  self:step("executor", core.executor, graph, { threads = 1 })
  if shaped and (not images or macs > MOST_MACS or tensors > MOST_ELEMENTS) then
    count(self, "run", "skipped")
    return
  end
  images = images or { core.tensor({ IMAGES, 1, 4, 4 }, "float32") }
  if #images ~= #graph.inputs then return end
  self:step("run", graph.run, graph, images, { threads = 2 })
  local configuration = CONFIGURATIONS[number % #CONFIGURATIONS + 1]
  self:quantize(graph, images, configuration, number % 2 == 0 and "original" or "chip")
  if optimized and #optimized < #graph then
    self:quantize(optimized, images, configuration, number % 2 == 0 and "chip" or "original")
  end
end

return M
