--- Calibration in parts: each part of the data gives statistics, which merge in any order to those of one run.
---
---     local part = shard.collect(calib, model, data, 3, 8)            -- of the third of eight parts
---     local merged = assert(shard.merge { part, ... })                -- associative, commutative
---     local t = calib:table_of_statistics(model, merged)
---
--- Statistics are a table:
---   kind = "calibration", tool, isa, model (its hash), options (of the Calibrator), images (of all data), shards (their
---   number), parts = { [number] = the hashes of its images }, states = { [title] = bytes of an observation }, complete
---   (nothing is left to be measured), ranges = { hash =, data = } (of the merged first round that the second used), and,
---   of the first part, encoded (the model itself, for who merges).
---
--- Methods that need the range of all data first take two rounds: where `complete` is false, merge all parts and collect
--- again with the result as `ranges`.

local core = require "espquant.core"
local digest = require "espquant.dataset.digest"
local errors = require "espquant.errors"
local json = require "espquant.json"
local parts = require "espquant.dataset.part"
local sessions = require "espquant.calibration.session"
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
  build(calib, model, { warnings = {}, pass = pass })
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

--- The hash of statistics: of their states and their data.
function M.hash(stat)
  local titles, texts = {}, { M.data_hash(stat) }
  for title in pairs(stat.states) do titles[#titles + 1] = title end
  table.sort(titles)
  for _, title in ipairs(titles) do texts[#texts + 1] = title .. core.sha256(stat.states[title]) end
  return core.sha256(table.concat(texts, "\n"))
end

-- Why the first round's result is none for this one, or nil.
local function wrong_ranges(ranges, stat)
  local problems = {}
  for _, field in ipairs(M.missing(ranges)) do problems[#problems + 1] = ("shard %d is missing"):format(field) end
  if ranges.complete then problems[#problems + 1] = "they are complete: merge them to a table" end
  M.differences(ranges, stat, problems, { shards = true })
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
    ranges = ranges and { hash = M.hash(ranges), data = M.data_hash(ranges) }, encoded = index == 1 and encoded or nil,
  }
  local problems = ranges and wrong_ranges(ranges, stat)
  if problems then errors.raise("format", "the ranges are not of this calibration", problems) end
  local session = setmetatable({
    data = part, warnings = {}, hashes = digest.new(), ranges = ranges, states = stat.states, complete = false,
  }, Collector)
  build(calib, model, session)
  stat.complete, stat.parts = session.complete, { [index] = session.hashes:list() }
  return stat
end

-- --- merging --------------------------------------------------------------------------------------------------------

local function text_of(value)
  return type(value) == "table" and json.encode(json.object(value), { indent = false }) or tostring(value)
end

local SAME = { "kind", "tool", "isa", "model", "options", "images", "shards", "complete", "ranges", "of" }
local WORDS = { model = "another model", options = "other options", images = "another number of images",
  shards = "another number of shards", ranges = "another first round", isa = "another instruction set",
  tool = "another version", kind = "another kind", complete = "another round", of = "other facts" }

--- Adds to `problems` what `stat` has other than `first`; `ignore`: fields that may differ.
function M.differences(stat, first, problems, ignore)
  for _, field in ipairs(SAME) do
    local got, expected = text_of(stat[field]), text_of(first[field])
    local skip = ignore and (ignore[field] or field == "complete" or field == "ranges")
    if got ~= expected and not skip then
      problems[#problems + 1] = ("%s%s (%s: %s, expected %s)"):format(stat.name and stat.name .. ": " or "of ",
        WORDS[field], field, got, expected)
    end
  end
end

-- All problems of the list: what does not belong together, and what comes twice.
local function check(list)
  local problems, from = {}, {}
  for _, stat in ipairs(list) do
    M.differences(stat, list[1], problems)
    for number in pairs(stat.parts) do
      if from[number] then
        problems[#problems + 1] = ("%s: shard %d of %d comes twice, it is also in %s"):format(stat.name or "statistics",
          number, stat.shards, from[number])
      end
      from[number] = stat.name or "other statistics"
    end
  end
  table.sort(problems)
  return #problems > 0 and problems or nil
end

--- Several statistics as one, in any order; nil, message, code, problems where they do not belong together. Their `name`,
--- if there, is what messages call them.
function M.merge(list)
  local problems = check(list)
  if problems then return nil, "statistics that cannot be merged", "format", problems end
  local merged, titles = { parts = {}, states = {} }, {}
  for key, value in pairs(list[1]) do
    if merged[key] == nil and key ~= "name" then merged[key] = value end
  end
  for _, stat in ipairs(list) do
    for number, hashes in pairs(stat.parts) do merged.parts[number] = hashes end
    for title, bytes in pairs(stat.states) do
      titles[title] = titles[title] or {}
      table.insert(titles[title], bytes)
    end
    merged.encoded = merged.encoded or stat.encoded
  end
  for title, states in pairs(titles) do
    -- The first round's ranges stand in every part of the second.
    local same = title == "range" and merged.ranges
    local message, code
    merged.states[title], message, code = core.merge_states(same and { states[1] } or states)
    if not merged.states[title] then return nil, message, code end
  end
  return merged
end

--- The numbers of the shards that are not there.
function M.missing(stat)
  local list = {}
  for number = 1, stat.shards do
    if not stat.parts[number] then list[#list + 1] = number end
  end
  return list
end

--- The hash of the data of all parts, in their order.
function M.data_hash(stat)
  local list = {}
  for number = 1, stat.shards do list[#list + 1] = stat.parts[number] or "" end
  return digest.hash(table.concat(list))
end

-- --- the table ------------------------------------------------------------------------------------------------------

local Merged = {}
Merged.__index = Merged

function Merged:pass(_, observation, title)
  local state = self.stat.states[title]
  if not state then errors.raise("format", ("the statistics have no %s"):format(title)) end
  errors.check(observation:add_state(state))
end

function Merged:data_hash() return M.data_hash(self.stat) end

--- A session of a policy that takes what all parts have seen. Raises what keeps a table from being made of them.
function M.session(stat)
  local missing = M.missing(stat)
  for i, number in ipairs(missing) do missing[i] = ("shard %d of %d is missing"):format(number, stat.shards) end
  if #missing > 0 then errors.raise("format", "statistics are not of all data", missing) end
  if not stat.complete then
    errors.raise("format", "these statistics are ranges, the first of two rounds: collect again with them")
  end
  if stat.ranges and stat.ranges.data ~= M.data_hash(stat) then
    errors.raise("format", ("the data of the second round are not those of the first (their hash begins with %s, expected "
      .. "%s)"):format(M.data_hash(stat):sub(1, 12), tostring(stat.ranges.data):sub(1, 12)))
  end
  return setmetatable({ stat = stat, warnings = {}, images = stat.images }, Merged)
end

return M
