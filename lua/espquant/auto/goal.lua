--- What a search is to reach: a figure of the integer model beside the float model, and its least value.
---
---     local g = goal.parse "agreement >= 0.99"        -- or "accuracy >= 97 %", "snr >= 30", "score.lua >= 0.5"
---     local sums = goal.start(g, labels)
---     sums:add(float_outputs, outputs, images)        -- batch by batch
---     local figures = sums:result()                   -- { score =, snr = }
---
--- agreement: the share of images whose largest number of the first output stands where the float model's does;
--- accuracy: where the label says; snr: signal-to-noise ratio in dB, of the output where it is least. A function gets
--- the float model's outputs and the integer model's as floats, batch by batch, with the number of images; its result
--- is averaged over the images.

local M = {}

local METRICS = { agreement = true, accuracy = true, snr = true }

--- The highest ratio that is told, of outputs without any noise.
M.NO_NOISE = 200.0

-- 0.99 or 99 %.
local function number(text)
  local digits, percent = text:match "^([%d.eE+-]+)%s*(%%?)$"
  local value = tonumber(digits)
  return value and (percent == "%" and value / 100 or value)
end

--- A goal from its text: { metric =, least =, text =, score = function or nil }; or nil and the reason.
function M.parse(text)
  local metric, least = text:match "^%s*(.-)%s*>=%s*(.-)%s*$"
  local value = least and number(least)
  if not value then
    return nil, ("'%s' is no goal such as 'agreement >= 0.99', 'accuracy >= 97 %%' or 'snr >= 30'"):format(text)
  end
  if METRICS[metric] then return { metric = metric, least = value, text = text } end
  if not metric:match "%.lua$" then
    return nil, ("'%s': there are agreement, accuracy, snr, and scripts that return a function (.lua)"):format(metric)
  end
  local chunk, message = loadfile(metric, "t")
  if not chunk then return nil, message end
  local ok, score = pcall(chunk)
  if not ok or type(score) ~= "function" then
    return nil, ok and ("%s returns no function of outputs"):format(metric) or score
  end
  return { metric = metric, least = value, text = text, score = score }
end

-- --- figures ---------------------------------------------------------------------------------------------------------

local Sums = {}
Sums.__index = Sums

--- Sums of nothing yet, for a goal; accuracy needs the labels of all images, an int64 tensor.
function M.start(goal, labels)
  return setmetatable({ goal = goal, labels = labels, images = 0, total = 0, signal = {}, noise = {} }, Sums)
end

local function classes(outputs, images) return outputs[1]:reshape({ images, -1 }):argmax() end

local function count_equal(a, b)
  local _, _, different = a:equal(b)
  return #a - (different or 0)
end

-- What the batch adds to the sum that is divided by the images.
function Sums:figure(want, got, images)
  local goal = self.goal
  if goal.score then
    local value = goal.score(want, got, images)
    if type(value) ~= "number" then error(("%s: a number expected, got %s"):format(goal.metric, type(value)), 0) end
    return value * images
  end
  if goal.metric == "agreement" then return count_equal(classes(want, images), classes(got, images)) end
  if goal.metric == "accuracy" then
    return count_equal(classes(got, images), self.labels:slice(self.images + 1, self.images + images))
  end
  return 0
end

--- Adds a batch: lists of float32 tensors, of the float model and of the integer model.
function Sums:add(want, got, images)
  for i, tensor in ipairs(want) do
    local difference = got[i]:astype "float32" - tensor
    self.signal[i] = (self.signal[i] or 0) + (tensor * tensor):sum()
    self.noise[i] = (self.noise[i] or 0) + (difference * difference):sum()
  end
  self.total = self.total + self:figure(want, got, images)
  self.images = self.images + images
end

local function ratio(signal, noise)
  if noise == 0 then return M.NO_NOISE end
  if signal == 0 then return -M.NO_NOISE end
  return math.max(-M.NO_NOISE, math.min(M.NO_NOISE, 10 * math.log(signal / noise, 10)))
end

--- { score =, snr = } of all that was added; the score of "snr" is the ratio itself.
function Sums:result()
  local snr = M.NO_NOISE
  for i, signal in ipairs(self.signal) do snr = math.min(snr, ratio(signal, self.noise[i])) end
  return { score = self.goal.metric == "snr" and snr or self.total / self.images, snr = snr }
end

return M
