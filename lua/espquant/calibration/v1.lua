--- What the Calibrator does for ESP-DL v1: checks of models, and the table over a dataset.
---
---     v1.check(calib, model)                 -- true, or nil, message, code, problems
---     v1.build(calib, model, session)        -- the table; raises an error object
---
--- `session` is that of calibration/session.lua.

local boundary = require "espquant.calibration.boundary"
local core = require "espquant.core"
local errors = require "espquant.errors"
local model_scales = require "espquant.model_scales"
local quant = require "espquant.quant"

local M = {}

--- Whether the model can be quantized, for a role of quant/check.lua.
function M.check(calib, model, role) return quant.check(model, calib.mode, role) end

--- Notes about operators that no chip was measured for.
function M.notes(calib, model) return quant.notes(model, calib.mode) end

local function absmax(ranges, i)
  local lo, hi, has_nan = ranges:range(i)
  return has_nan and 0 / 0 or math.max(math.abs(lo), math.abs(hi))
end

-- Why the search found no threshold for tensor number i: the text that the original raises, and its exception.
local function search_refusal(histograms, i, name)
  local _, message, code, exception, text = histograms:threshold(i)
  if exception ~= "ValueError" then text = ("the search for a threshold of '%s' failed: %s"):format(name, message) end
  return text, code, exception, message
end

-- "original" mode refuses tensors without a threshold: raises the first one's text, with a problem for each.
local function check_thresholds(model, histograms, thresholds, names)
  local problems, first, first_code = {}, nil, nil
  for i, name in ipairs(names) do
    if not thresholds[i] then
      local text, code, exception, message = search_refusal(histograms, i, name)
      if not first then first, first_code, problems.exception = text, code, exception end
      local why = ("no threshold by entropy for '%s' (%s); use minmax, or mode \"chip\", which falls back to it")
        :format(name, message)
      local node = model:value(name).producer
      problems[#problems + 1] = node and quant.problem(node, why) or why
    end
  end
  if first then errors.raise(first_code, first, problems) end
end

-- The entropy method's exponent of tensor number i; where the search found no threshold, that of its range.
local function entropy_exponent(self, histograms, thresholds, ranges, i, name, warnings)
  if thresholds[i] then return core.exponent_of_threshold(thresholds[i]) end
  local _, _, _, message = search_refusal(histograms, i, name)
  warnings[#warnings + 1] = ("'%s': no threshold by entropy (%s); its range is taken instead"):format(name, message)
  return core.exponent_of_absmax(absmax(ranges, i), self.bits)
end

-- Data beyond what the input's exponent holds is clipped, on the chip as well.
local function warn_of_clipped_inputs(self, model, ranges, first, warnings)
  if self.mode == "original" then return end
  for i, input in ipairs(model.inputs) do
    local reached, e = absmax(ranges, first + i), quant.inputs.exponent(self, input.name)
    local limit = e == "measured" and math.huge or 2.0 ^ (e + self.bits - 1)
    if reached > limit then
      warnings[#warnings + 1] = ("input '%s' reaches %.6g, but its exponent %d holds %g at most: what is beyond is "
        .. "clipped; scale the data, or give input_exponent (\"measured\")"):format(input.name, reached, e, limit)
    end
  end
end

-- Lists tensors whose exponents float errors could have decided.
local function note_boundaries(self, session, names, by_range, ranges, thresholds, trained)
  for i, name in ipairs(names) do
    local threshold = not by_range[name] and thresholds[i]
    local near = threshold and boundary.is_near(threshold, core.exponent_of_threshold)
      or not threshold and boundary.is_near(absmax(ranges, i), function(x) return core.exponent_of_absmax(x, self.bits) end)
    if near and not trained[name] then table.insert(session.boundary, name) end
  end
end

-- name -> exponent for every name, in one pass (minmax) or two (entropy); the set `by_range` is always minmax.
local function measure(self, model, session, names, by_range)
  local exec <close> = errors.check(core.executor(model, { threads = self.threads, outputs = {} }))
  local trained = self.model_scales and model_scales.exponents(model, self.bits) or {}
  local observed = table.move(names, 1, #names, 1, {})
  for _, input in ipairs(model.inputs) do observed[#observed + 1] = input.name end
  local ranges = errors.check(core.observe_range(model, observed))
  session:pass(exec, ranges, "range", self.method ~= "entropy")
  warn_of_clipped_inputs(self, model, ranges, #names, session.warnings)
  local histograms, thresholds
  if self.method == "entropy" then
    histograms = errors.check(core.observe_histogram(ranges))
    session:pass(exec, histograms, "histogram", true)
    thresholds = errors.check(histograms:thresholds(self.threads))
    if self.mode == "original" then check_thresholds(model, histograms, thresholds, names) end
  end
  note_boundaries(self, session, names, by_range, ranges, thresholds or {}, trained)
  local found = {}
  for i, name in ipairs(names) do
    found[name] = trained[name]
      or histograms and not by_range[name]
        and entropy_exponent(self, histograms, thresholds, ranges, i, name, session.warnings)
      or core.exponent_of_absmax(absmax(ranges, i), self.bits)
  end
  return found
end

-- The calibrator; where inputs have trained exponents, one that fixes these, unless the user gave another.
local function with_trained_inputs(self, model)
  if not self.model_scales then return self end
  local given, all = self.input_exponent, {}
  local trained = model_scales.exponents(model, self.bits)
  for _, input in ipairs(model.inputs) do
    local own = given
    if type(given) == "table" then own = given[input.name] end
    all[input.name] = own or trained[input.name]
  end
  for name, e in pairs(type(given) == "table" and given or {}) do all[name] = e end -- a wrong name is refused later
  return setmetatable({ input_exponent = all }, { __index = self, __newindex = self })
end

--- The table; raises what the model or the data have wrong.
function M.build(calib, model, session)
  local self = with_trained_inputs(calib, model)
  return errors.check(quant.v1.build(model, self, function(names, by_range)
    return measure(self, model, session, names, by_range)
  end))
end

return M
