-- Statistics of a part, and the states of observations in them.
local core = require "espquant.core"
local stat = require "espquant.codec.stat"
return function(bytes)
  local statistics = stat.decode(bytes, "x")
  if statistics then
    assert(stat.encode(statistics))
    for _, state in pairs(statistics.states) do core.merge_states { state, state } end
  end
  core.merge_states { bytes, bytes }
end
