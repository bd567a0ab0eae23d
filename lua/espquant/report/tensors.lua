--- The float tensors of a report: shape, range and histogram of each, weights included.
---
---     local all = tensors(model, data, threads)
---     print(all["conv1_out"].max, #all["conv1_out"].counts, all["conv1_out"].threshold)

local core = require "espquant.core"
local errors = require "espquant.errors"
local json = require "espquant.json"
local progress = require "espquant.progress"

local BINS = 64 -- of a histogram that is drawn
local MOST_WEIGHTS = 2000 -- weights that get a histogram
local MOST_THRESHOLDS = 2000 -- in models of more tensors the search, some milliseconds each, is left out

local function shape_of(value)
  local list = json.array()
  for i, d in ipairs(value.shape or {}) do list[i] = d or json.null end
  return list
end

local function finite(x)
  return x and x == x and math.abs(x) < math.huge and x or json.null
end

local function float_names(model)
  local names = {}
  for _, value in ipairs(model:values()) do
    local used = value.is_input or value.is_output or value:use_count() > 0
    if not value.constant and value.dtype == "float32" and used then names[#names + 1] = value.name end
  end
  return names
end

local function feed(model, data, observation, title, threads)
  local exec <close> = errors.check(core.executor(model, { threads = threads, outputs = {} }))
  local bar <close>, images = progress.new { title = title, total = data:count() }, 0
  for inputs in data:batches() do
    errors.check(exec:run(inputs, observation, false))
    images = images + (type(inputs) == "table" and #inputs[1] or #inputs)
    bar:update(images)
  end
end

-- Tensor number i of observations, as facts.
local function facts_of(ranges, histograms, i, shape)
  local min, max = ranges:range(i)
  local lo, hi, counts = histograms:counts(i, BINS)
  return {
    shape = shape, min = finite(min), max = finite(max), lo = lo or json.null, hi = hi or json.null,
    counts = json.array(counts),
  }
end

-- What nodes make, on the data; `threshold` is where the entropy method cuts, null where it finds nothing.
local function add_computed(all, model, data, threads)
  local names = float_names(model)
  local ranges = errors.check(core.observe_range(model, names))
  feed(model, data, ranges, "range", threads)
  local histograms = errors.check(core.observe_histogram(ranges))
  feed(model, data, histograms, "histogram", threads)
  local thresholds = #names <= MOST_THRESHOLDS and errors.check(histograms:thresholds(threads)) or {}
  for i, name in ipairs(names) do
    all[name] = facts_of(ranges, histograms, i, shape_of(model:value(name)))
    all[name].threshold = finite(thresholds[i])
  end
end

-- A graph whose one tensor is what it is fed with: what observes data observes constants as well.
local function echo()
  local g = core.graph { name = "weight", opset = 13 }
  local node = g:add_node { op_type = "Identity", inputs = { g:add_input("w", "float32", { "N" }) }, outputs = { "y" } }
  g:add_output(node:output(1))
  errors.check(g:infer_shapes())
  return g
end

local function add_weights(all, model)
  local graph, left = echo(), MOST_WEIGHTS
  local exec <close> = errors.check(core.executor(graph, { threads = 1, outputs = {} }))
  for _, value in ipairs(model:values()) do
    local weight = value.constant
    if weight and weight.dtype == "float32" and weight.rank > 1 and weight.count > 0 and left > 0 then
      left = left - 1
      local flat = errors.check(weight:reshape { -1 })
      local ranges = errors.check(core.observe_range(graph, { "w" }))
      errors.check(exec:run(flat, ranges, false))
      local histograms = errors.check(core.observe_histogram(ranges))
      errors.check(exec:run(flat, histograms, false))
      all[value.name] = facts_of(ranges, histograms, 1, shape_of(value))
    end
  end
end

--- name -> { shape, min, max, lo, hi, counts, threshold }: those that nodes make, on the data, and constants of more
--- than one axis, which have no threshold. Raises error objects.
return function(model, data, threads)
  local all = json.object {}
  add_computed(all, model, data, threads)
  add_weights(all, model)
  return all
end
