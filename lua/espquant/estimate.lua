--- What a model takes on a chip, before it is there: flash, RAM, products, a band of time.
---
---     local facts = estimate(model, { runtime = "v3", target = "esp32s3", bits = "int8", table = t, internal = 200000 })
---
--- Flash is the size of what the exporter writes, to the byte: the .espdl file of v3; of v1's coefficients all arrays,
--- each padded to 16 bytes. RAM is that of a plan of the tensors between layers, in the chip's integers, for one image
--- (`espquant.memory`); programs, stacks and the runtime's own structures come on top. Without a table, exponents are
--- made from noise: sizes do not depend on them.

local Calibrator = require "espquant.calibrator"
local Evaluator = require "espquant.evaluator"
local core = require "espquant.core"
local cpp_layers = require "espquant.export.cpp_layers"
local cpp_names = require "espquant.export.cpp_names"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local espdl = require "espquant.export.espdl"
local latency = require "espquant.latency"
local memory = require "espquant.memory"
local size = require "espquant.size"

local ALIGNMENT = 16
local WIDTHS = { float32 = 4, int8 = 1, uint8 = 1, bool = 1, int16 = 2, int32 = 4, int64 = 8 }

local function aligned(bytes) return (bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT end

-- --- a table ------------------------------------------------------------------------------------------------------

local NOISE = 509 -- numbers between -1 and 1, repeated

local function noise(shape)
  local pieces, count, x = {}, 1, 1
  for _, d in ipairs(shape) do count = count * d end
  for i = 1, NOISE do
    x = x * 48271 % 2147483647
    pieces[i] = ("<f"):pack(x / 1073741823.5 - 1)
  end
  local bytes = table.concat(pieces):rep(count // NOISE + 1):sub(1, 4 * count)
  return core.tensor_frombytes { dtype = "float32", shape = shape, data = bytes, byteorder = "<" }
end

local function table_of_noise(model, o)
  local images = {}
  for _, input in ipairs(model.inputs) do
    local shape = {}
    for k, d in ipairs(input.shape or {}) do shape[k] = math.type(d) == "integer" and d or 1 end
    images[input.name] = noise(shape)
  end
  local calibrator = Calibrator {
    bits = o.bits, runtime = o.runtime, target = o.target, granularity = o.granularity, log = function() end,
  }
  local t = errors.check(calibrator:measure_table(model, errors.check(dataset.of(images, model))))
  t.facts.data = ("0"):rep(64) -- as long as the hash of real data
  return t
end

-- --- sizes --------------------------------------------------------------------------------------------------------

local function flash_v1(model, t, o)
  local names = cpp_names.new { chip = true, log = function() end }
  local layers = cpp_layers.new {
    table = t, names = names, chip = true, bits = t.facts.bits, target = o.target, log = function() end,
    per_channel = t.facts.granularity == "per-channel",
  }
  layers:collect(model)
  local bytes = 0
  for _, object in ipairs(layers.objects) do
    local width = object.elements and tonumber(object.type:match "%d+") // 8
    if width then bytes = bytes + aligned(object.elements.count * width) end
    if object.exponents then bytes = bytes + #object.exponents end
  end
  return bytes
end

local function flash_of(model, t, o)
  if o.runtime ~= "v3" then return flash_v1(model, t, o) end
  return #errors.check(espdl.encode(model, t, { target = o.target }))
end

-- Bytes of a tensor of the integer graph, for one image.
local function bytes_of(value)
  local count = 1
  for _, d in ipairs(value.shape or {}) do count = count * (math.type(d) == "integer" and d or 1) end
  local quant = value.quant
  return aligned(count * (quant and quant.bits and quant.bits // 8 or WIDTHS[value.dtype] or 4))
end

local function integer_graph(model, t, o)
  local evaluator = Evaluator {
    bits = "int" .. t.facts.bits, runtime = o.runtime, granularity = t.facts.granularity,
    chip = o.runtime == "v3" and o.target or nil, threads = 1,
  }
  evaluator:generate_quantized_model(model, t)
  return evaluator.graph
end

--- The facts: runtime, target, bits, flash, ram, ram_internal, ram_external (with `internal`), ram_least, largest (the
--- tensor), macs, latency { low, high } in ms or nil, latency_reason. Raises an error object.
return function(model, o)
  local t = o.table or table_of_noise(model, o)
  local plan = memory.plan(integer_graph(model, t, o), bytes_of, o.internal)
  local largest = plan.blocks[1]
  for _, block in ipairs(plan.blocks) do
    if block.elements > largest.elements then largest = block end
  end
  local band, reason = latency.band(model, o.runtime, o.target, t.facts.bits)
  return {
    runtime = o.runtime, target = o.target, bits = t.facts.bits, flash = flash_of(model, t, o), ram = plan.size,
    ram_internal = plan.internal, ram_external = plan.external, ram_least = plan.least, macs = (size.total_macs(model)),
    largest = { name = largest.name, bytes = largest.elements }, latency = band, latency_reason = reason,
  }, plan
end
