--- What a policy of calibration measures with: a session gives it the statistics of its tensors over all data.
---
---     session:pass(exec, observation, title, last)    -- adds to the observation; `last`: the policy asks for no more
---     session.warnings  session.boundary (names, see boundary.lua)  session.images  session:data_hash()
---
--- This one runs the data. Those of `shard` run a part, or take what parts have seen.

local digest = require "espquant.dataset.digest"
local errors = require "espquant.errors"
local progress = require "espquant.progress"

local Session = {}
Session.__index = Session

local M = { Session = Session }

--- A session over a dataset of the model; with `hashed` it knows the data's hash, which takes time.
function M.new(data, hashed)
  return setmetatable({ data = data, warnings = {}, boundary = {}, hashes = hashed and digest.new() or nil }, Session)
end

--- One pass over the dataset, everything observed.
function Session:pass(exec, observation, title)
  local bar <close>, images = progress.new { title = title, total = self.data:count() }, 0
  for inputs in self.data:batches() do
    errors.check(exec:run(inputs, observation, false))
    images = images + (type(inputs) == "table" and #inputs[1] or #inputs)
    if self.hashes and not self.images then self.hashes:add(inputs) end
    bar:update(images)
  end
  self.images = images
end

--- The hash of the data that were seen; nil where it was not asked for.
function Session:data_hash()
  return self.hashes and self.hashes:hash()
end

return M
