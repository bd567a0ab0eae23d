--- What the policy of ESP-DL v3 measures: exponents of constants by an observer, and of the tensors of a run.
---
---     local e = observe.weight(tensor, 8, "percentile")
---     local found = observe.run(graph, roots, extra, feed, threads)   -- sets root.exponent; found[name] is an absmax
---
--- Observers: "kl" (int8 only), "minmax", "percentile", "mse". Weights, activations of int8 and of int16 have defaults.

local core = require "espquant.core"

local M = {}

--- The observers that there are.
M.OBSERVERS = { "kl", "minmax", "percentile", "mse" }

--- The observer of an activation, by width: what was asked for, else esp-ppq's. The KL search is for int8.
function M.of_activation(bits, wanted)
  if bits == 16 and wanted == "kl" then wanted = nil end
  return wanted or (bits == 8 and "kl" or "minmax")
end

--- The observer of a weight, by width.
function M.of_weight(bits, wanted)
  if bits == 16 and wanted == "kl" then wanted = nil end
  return wanted or (bits == 8 and "percentile" or "minmax")
end

local function exponent_of_range(lo, hi, bits)
  if lo ~= lo or hi ~= hi then return 0 / 0 end
  return core.v3_exponent_of_absmax(math.max(math.abs(math.min(lo, 0)), math.max(hi, 0)), bits)
end

--- The exponent of a float32 tensor.
function M.weight(tensor, bits, observer)
  if tensor.count == 0 then return core.v3_exponent_of_absmax(0, bits) end
  if observer == "minmax" then return core.v3_exponent_of_absmax(tensor:maxabs(), bits) end
  if observer == "percentile" then
    local lo, hi = core.percentile(tensor)
    return exponent_of_range(lo, hi, bits)
  end
  return assert(core.histogram_exponent(tensor, observer, bits))
end

--- The exponents of the slices of a tensor along an axis.
function M.channels(tensor, axis, bits, observer)
  local list = {}
  if observer == "minmax" then
    for c, absmax in ipairs(tensor:maxabs(axis):totable()) do list[c] = core.v3_exponent_of_absmax(absmax, bits) end
    return list
  end
  local perm = { axis }
  for i = 0, tensor.rank - 1 do
    if i ~= axis then perm[#perm + 1] = i end
  end
  local rows = tensor:transpose(perm)
  for c = 1, #rows do list[c] = M.weight(rows:slice(c, c), bits, observer) end
  return list
end

-- --- activations -----------------------------------------------------------------------------------------------------

local BY_HISTOGRAM = { kl = true, mse = true }

-- Names of what is observed, each once: those that need a histogram first; their number; name -> index.
local function names_of(roots, extra)
  local names, index = {}, {}
  local function add(name)
    if not index[name] then
      names[#names + 1] = name
      index[name] = #names
    end
  end
  for _, root in ipairs(roots) do
    if BY_HISTOGRAM[root.observer] then add(root.value.name) end
  end
  local counted = #names
  for _, root in ipairs(roots) do add(root.value.name) end
  for _, name in ipairs(extra) do add(name) end
  return names, counted, index
end

local function each_observed(roots, observer, f)
  for _, root in ipairs(roots) do
    if root.observer == observer then f(root) end
  end
end

local function by_percentile(graph, roots, feed)
  local names, index = {}, {}
  each_observed(roots, "percentile", function(root)
    names[#names + 1] = root.value.name
    index[root] = #names
  end)
  if #names == 0 then return true end
  local o, message, code = core.observe_percentile(graph, names)
  if not o then return nil, message, code end
  feed(o, "percentiles", true)
  for root, i in pairs(index) do
    local lo, hi, has_nan = o:range(i)
    root.exponent = has_nan and 0 / 0 or exponent_of_range(lo, hi, root.bits)
  end
  return true
end

local function by_histogram(ranges, roots, counted, index, feed, threads, last)
  if counted == 0 then return true end
  local o, message, code = core.observe_histogram(ranges, "v3", counted)
  if not o then return nil, message, code end
  feed(o, "histogram", last)
  local searched = {}
  for _, root in ipairs(roots) do
    local key = root.observer .. root.bits
    if BY_HISTOGRAM[root.observer] and not searched[key] then
      searched[key], message, code = o:exponents(root.observer, root.bits, threads)
      if not searched[key] then return nil, message, code end
    end
    if searched[key] then root.exponent = searched[key][index[root.value.name]] end
  end
  return true
end

--- Measures `roots` (slots with `observer`) over the dataset and sets their `exponent`, in one pass, or one more for
--- histograms and for percentiles each. feed(observation, title, last) runs the graph over all data, for the last time if
--- `last`. Returns name -> largest absolute value of all tensors seen, also of those named in the list `extra`; or nil,
--- message, code.
function M.run(graph, roots, extra, feed, threads)
  local names, counted, index = names_of(roots, extra)
  local ranges, message, code = core.observe_range(graph, names)
  if not ranges then return nil, message, code end
  local percentiles = false
  each_observed(roots, "percentile", function() percentiles = true end)
  feed(ranges, "range", counted == 0 and not percentiles)
  local absmax = {}
  for name, i in pairs(index) do
    local lo, hi, has_nan, count = ranges:range(i)
    absmax[name] = has_nan and 0 / 0 or count == 0 and 0.0 or math.max(math.abs(lo), math.abs(hi))
  end
  each_observed(roots, "minmax", function(root)
    root.exponent = core.v3_exponent_of_absmax(absmax[root.value.name], root.bits)
  end)
  local ok
  ok, message, code = by_histogram(ranges, roots, counted, index, feed, threads, not percentiles)
  if ok then ok, message, code = by_percentile(graph, roots, feed) end
  if not ok then return nil, message, code end
  return absmax
end

return M
