--- Calibration in parts: each part of the data gives statistics, which merge in any order to those of one run.
---
---     local part = shard.collect(calib, model, data, 3, 8)            -- of the third of eight parts
---     local merged = assert(statistics.merge { part, ... })           -- associative, commutative
---     local t = calib:table_of_statistics(model, merged)
---
--- Statistics are those of `espquant.statistics`, with the options of the Calibrator.
---
--- Methods that need the range of all data first take two rounds: where `complete` is false, merge all parts and collect
--- again with the result as `ranges`.

local core = require "espquant.core"
local digest = require "espquant.dataset.digest"
local errors = require "espquant.errors"
local parts = require "espquant.dataset.part"
local sessions = require "espquant.calibration.session"
local statistics = require "espquant.statistics"
local version = require "espquant.version"

local M = {}

local OPTIONS = { "granularity", "method", "mode", "runtime", "target", "input_exponent", "model_scales", "observer",
  "weight_observer", "layers" }

-- What a policy is stopped with once there is nothing more for it to measure.
local STOP = {}

local function build(calib, model, session)
  local ok, err = pcall(calib.policy.build, calib, model, session)
  if not ok and err ~= STOP then error(err, 0) end
end

-- --- rounds ---------------------------------------------------------------------------------------------------------

--- 1 or 2: how many rounds parts take.
function M.rounds(calib, model)
  local rounds = 1
  local function pass(_, _, _, title, last)
    if title == "histogram" then rounds = 2 end
    if last then error(STOP, 0) end
  end
  build(calib, model, { warnings = {}, boundary = {}, pass = pass })
  return rounds
end

-- --- collecting -----------------------------------------------------------------------------------------------------

local Collector = setmetatable({}, { __index = sessions.Session })
Collector.__index = Collector

function Collector:pass(exec, observation, title, last)
  local known = self.ranges and title == "range" and self.ranges.states.range
  if title == "histogram" and not self.ranges then error(STOP, 0) end
  if known then errors.check(observation:add_state(known))
  elseif self.data:count() > 0 then sessions.Session.pass(self, exec, observation, title) end
  self.states[title] = errors.check(observation:state())
  self.complete = last or false
  if last then error(STOP, 0) end
end

local function options_of(calib)
  local options = { bits = "int" .. calib.bits }
  for _, key in ipairs(OPTIONS) do options[key] = calib[key] end
  return options
end

-- Why the first round's result is none for this one, or nil.
local function wrong_ranges(ranges, stat)
  local problems = {}
  for _, field in ipairs(statistics.missing(ranges)) do problems[#problems + 1] = ("shard %d is missing"):format(field) end
  if ranges.complete then problems[#problems + 1] = "they are complete: merge them to a table" end
  statistics.differences(ranges, stat, problems, { shards = true })
  return #problems > 0 and problems or nil
end

--- The statistics of part number `index` of `count`; `ranges`, if there, are what the first round was merged to.
--- Raises.
function M.collect(calib, model, data, index, count, ranges)
  local part = parts.of(data, index, count)
  local encoded = errors.check(core.onnx_encode(model))
  local stat = {
    kind = "calibration", tool = "espquant " .. version, isa = core.isa(), model = core.sha256(encoded),
    options = options_of(calib), images = part.total, shards = count, states = {},
    ranges = ranges and { hash = statistics.hash(ranges), data = statistics.data_hash(ranges) }, encoded = index == 1 and encoded or nil,
  }
  local problems = ranges and wrong_ranges(ranges, stat)
  if problems then errors.raise("format", "the ranges are not of this calibration", problems) end
  local session = setmetatable({
    data = part, warnings = {}, boundary = {}, hashes = digest.new(), ranges = ranges, states = stat.states, complete = false,
  }, Collector)
  build(calib, model, session)
  stat.complete, stat.parts = session.complete, { [index] = session.hashes:list() }
  return stat
end

-- --- the table ------------------------------------------------------------------------------------------------------

local Merged = {}
Merged.__index = Merged

function Merged:pass(_, observation, title)
  local state = self.stat.states[title]
  if not state then errors.raise("format", ("the statistics have no %s"):format(title)) end
  errors.check(observation:add_state(state))
end

function Merged:data_hash() return statistics.data_hash(self.stat) end

--- A session of a policy that takes what all parts have seen. Raises what keeps a table from being made of them.
function M.session(stat)
  local missing = statistics.missing(stat)
  for i, number in ipairs(missing) do missing[i] = ("shard %d of %d is missing"):format(number, stat.shards) end
  if #missing > 0 then errors.raise("format", "statistics are not of all data", missing) end
  if not stat.complete then
    errors.raise("format", "these statistics are ranges, the first of two rounds: collect again with them")
  end
  if stat.ranges and stat.ranges.data ~= statistics.data_hash(stat) then
    errors.raise("format", ("the data of the second round are not those of the first (their hash begins with %s, expected "
      .. "%s)"):format(statistics.data_hash(stat):sub(1, 12), tostring(stat.ranges.data):sub(1, 12)))
  end
  return setmetatable({ stat = stat, warnings = {}, boundary = {}, images = stat.images }, Merged)
end

return M
