--- What a search has measured, in a file, so that it goes on where it was interrupted.
---
---     local state = state.open("m_auto.json", { model = sha256, data = sha256, goal = "...", target = "esp32s3" })
---     state:get(key)  state:put(key, { score =, snr = })

local core = require "espquant.core"
local errors = require "espquant.errors"
local json = require "espquant.json"

local M = {}

local FORMAT, VERSION, MAX_BYTES = "espquant-auto", 1, 1 << 24

local State = {}
State.__index = State

-- What differs between the file's facts and those of this search, or nil.
local function difference(doc, facts)
  for _, key in ipairs { "model", "data", "goal", "target", "tool" } do
    if doc[key] ~= facts[key] then return key end
  end
end

local function check_trials(trials)
  if type(trials) ~= "table" then return false end
  for key, figures in pairs(trials) do
    if type(key) ~= "string" or type(figures) ~= "table" or type(figures.score) ~= "number"
      or type(figures.snr) ~= "number" then
      return false
    end
  end
  return true
end

-- The trials of the file, or none where there is no file. Raises for a file of another search.
local function read(path, facts)
  local bytes, message, code = core.read_file(path, MAX_BYTES)
  if not bytes then
    if io.open(path, "rb") then errors.raise(code, message) end
    return {}
  end
  local doc = json.decode(bytes)
  if type(doc) ~= "table" or doc.format ~= FORMAT or doc.version ~= VERSION or not check_trials(doc.trials) then
    errors.raise("format", ("%s is no state of a search; choose another name with --state"):format(path))
  end
  local key = difference(doc, facts)
  if key then
    errors.raise("format", ("%s is the state of a search with another %s; remove it, or choose another name with "
      .. "--state"):format(path, key))
  end
  return doc.trials
end

--- The state of a search in the file `path` (nil: in memory only). `facts`: model, data, goal, target, tool, strings
--- that must be those of the file. Raises an error object where they are not, or the file is none of ours.
function M.open(path, facts)
  return setmetatable({ path = path, facts = facts, trials = path and read(path, facts) or {} }, State)
end

--- The figures of a configuration's key, or nil.
function State:get(key) return self.trials[key] end

--- Keeps figures, in the file as well: whole or not at all.
function State:put(key, figures)
  self.trials[key] = { score = figures.score, snr = figures.snr }
  if not self.path then return end
  local doc = { format = FORMAT, version = VERSION, trials = json.object {} }
  for name, value in pairs(self.facts) do doc[name] = value end
  for name, value in pairs(self.trials) do doc.trials[name] = value end
  errors.check(core.write_file(self.path, json.encode(doc, { indent = 1, levels = 2 }) .. "\n"))
end

return M
