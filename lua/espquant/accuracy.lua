--- The integer model and the float model on the same data: right answers, and equal ones.
---
---     local labels = accuracy.labels(data, "labels.npy")
---     local sums = accuracy.compare(data, float, eva, labels)
---     print(sums.right / sums.images, sums.equal / sums.images)

local core = require "espquant.core"
local dataset = require "espquant.dataset"
local digest = require "espquant.dataset.digest"
local errors = require "espquant.errors"
local progress = require "espquant.progress"

local M = {}

--- The labels in the file `path`, or without one those that the data has, as an int64 tensor; nil: none. Raises where
--- their number is not that of the images.
function M.labels(data, path)
  if not path then return data.labels and core.tensor_from(data.labels, "int64") end
  local images = data:count()
  local raw = errors.check(dataset.open(path)):raw()
  local labels = errors.check(raw:reshape { -1 }:astype "int64")
  if images and #labels ~= images then
    errors.raise("format", ("%s: %d labels for %d images"):format(path, #labels, images))
  end
  return labels
end

--- A counter { name =, images =, float_right =, right = } for each class of a folder of pictures; nil for other data.
function M.classes(data)
  if not data.classes then return nil end
  local classes = {}
  for i, name in ipairs(data.classes) do classes[i] = { name = name, images = 0, float_right = 0, right = 0 } end
  return classes
end

-- The class of each image: the index of the largest number of the first output.
local function classes_of(outputs, images)
  return errors.check(outputs[1]:reshape { images, -1 }):argmax()
end

local function count_equal(a, b)
  local _, _, different = a:equal(b)
  return #a - (different or 0)
end

-- Adds a batch to the counts of each class.
local function count_classes(classes, labels, want, got)
  want, got = want:totable(), got:totable()
  for i, label in ipairs(labels:totable()) do
    local class = classes[label + 1]
    class.images = class.images + 1
    if want[i] == label then class.float_right = class.float_right + 1 end
    if got[i] == label then class.right = class.right + 1 end
  end
end

local function timed(sums, key, f, ...)
  local start = core.clock()
  local outputs = errors.check(f(...))
  sums[key] = sums[key] + core.clock() - start
  return outputs
end

--- One pass over the data with an executor of the float model and an Evaluator: { images, float_right, right, equal,
--- float_seconds, seconds }. `labels` may be nil; `by_class` are counters of `classes`, or nil; with `hash` also
--- `data`, the hash of all images, and `hashes`, those of each. `data` may be a part of a dataset. Raises.
function M.compare(data, float, eva, labels, by_class, hash)
  local hashes = hash and digest.new()
  local sums = { images = 0, float_right = 0, right = 0, equal = 0, float_seconds = 0, seconds = 0 }
  local bar <close> = progress.new { title = "evaluate", total = data:count() }
  for batch in data:batches() do
    local n = type(batch) == "table" and #batch[1] or #batch
    local want = classes_of(timed(sums, "float_seconds", float.run, float, batch), n)
    local got = classes_of(timed(sums, "seconds", eva.evaluate_quantized_model, eva, batch), n)
    sums.equal = sums.equal + count_equal(want, got)
    if labels then
      local before = (data.first or 1) - 1 + sums.images
      if before + n > #labels then errors.raise("format", ("%d labels for more images"):format(#labels)) end
      local right = labels:slice(before + 1, before + n)
      sums.float_right, sums.right = sums.float_right + count_equal(want, right), sums.right + count_equal(got, right)
      if by_class then count_classes(by_class, right, want, got) end
    end
    sums.images = sums.images + n
    if hashes then hashes:add(batch) end
    bar:update(sums.images)
  end
  sums.hashes, sums.data = hashes and hashes:list(), hashes and hashes:hash()
  return sums
end

return M
