--- What the Calibrator does for ESP-DL v3: checks of models, and the table over a dataset.
---
---     v3.check(calib, model)                 -- true, or nil, message, code, problems
---     v3.build(calib, model, session)        -- the table; raises an error object

local boundary = require "espquant.calibration.boundary"
local check = require "espquant.quant.v3.check"
local core = require "espquant.core"
local errors = require "espquant.errors"
local observe = require "espquant.quant.v3.observe"
local policy = require "espquant.quant.v3.policy"
local prepare = require "espquant.quant.v3.prepare"

local M = {}

--- Whether the model can be quantized.
function M.check(calib, model) return check(model, calib) end

--- Notes about operators: none.
function M.notes() return {} end

-- Lists tensors whose exponents float errors could have decided, as far as their range decides.
local function note_boundaries(session, roots, absmax)
  for _, root in ipairs(roots) do
    local name, bits = root.value.name, root.bits
    local function exponent_of(x) return core.v3_exponent_of_absmax(x, bits) end
    if root.observer == "minmax" and boundary.is_near(absmax[name], exponent_of) then
      table.insert(session.boundary, name)
    end
  end
end

--- The table; raises what the model or the data have wrong.
function M.build(calib, model, session)
  local prepared = errors.check(prepare(model))
  return errors.check(policy.build(prepared, calib, function(graph, roots, extra)
    local exec <close> = errors.check(core.executor(graph, { threads = calib.threads, outputs = {} }))
    local absmax, message, code = observe.run(graph, roots, extra, function(observation, title, last)
      session:pass(exec, observation, title, last)
    end, calib.threads)
    if absmax then note_boundaries(session, roots, absmax) end
    return absmax, message, code
  end))
end

return M
