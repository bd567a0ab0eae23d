--- What parts of the data have to say, and how that is put together: by `espquant stat`, `evaluate --shard` and `merge`.
---
---     local merged, message, code, problems = statistics.merge { part, ... }    -- associative, commutative
---     statistics.missing(merged)                                                -- the numbers of absent parts
---
--- Statistics are a table:
---   kind       "calibration" or "evaluation"
---   tool, isa, model (its hash), options, of (other facts that must be the same)
---   images     of all data
---   shards     the number of parts of which all data consist
---   parts      { [number] = hashes of the images of that part, 32 bytes each }
---   states     { [title] = bytes of an observation }
---   sums       numbers to be added
---   complete   nothing is left to be measured
---   ranges     { hash =, data = } of the merged first round that the second used, or nil
---   encoded    the model, of who has part 1
---   name       what messages call it, or nil

local core = require "espquant.core"
local digest = require "espquant.dataset.digest"
local json = require "espquant.json"

local M = {}

--- The hash of statistics: of their states and their data.
function M.hash(stat)
  local titles, texts = {}, { M.data_hash(stat) }
  for title in pairs(stat.states) do titles[#titles + 1] = title end
  table.sort(titles)
  for _, title in ipairs(titles) do texts[#texts + 1] = title .. core.sha256(stat.states[title]) end
  return core.sha256(table.concat(texts, "\n"))
end

local function text_of(value)
  return type(value) == "table" and json.encode(json.object(value), { indent = false }) or tostring(value)
end

local SAME = { "tool", "isa", "model", "options", "images", "shards", "complete", "ranges", "of" }
local WORDS = { model = "another model", options = "other options", images = "another number of images",
  shards = "another number of shards", ranges = "another first round", isa = "another instruction set",
  tool = "another version", complete = "another round", of = "other facts" }

--- Adds to `problems` what `stat` has other than `first`; `ignore`: fields that may differ.
function M.differences(stat, first, problems, ignore)
  if stat.kind ~= first.kind then
    problems[#problems + 1] = ("%s: statistics of a %s, expected of a %s"):format(stat.name or "they", stat.kind,
      first.kind)
    return
  end
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

-- Tables of numbers, added field by field; lists of such tables item by item. What is text is the same in all.
local function add(sum, more)
  for key, value in pairs(more) do
    if type(value) == "table" then sum[key] = add(sum[key] or {}, value)
    elseif type(value) == "number" then sum[key] = (sum[key] or 0) + value
    else sum[key] = value end
  end
  return sum
end

local function sum_of(list)
  local sum = {}
  for _, stat in ipairs(list) do add(sum, stat.sums) end
  return sum
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
  if merged.sums then merged.sums = sum_of(list) end
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

return M
