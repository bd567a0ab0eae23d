--- Before: Min(Relu(x), high)    After: Clip(x, 0, high), one number >= 0
--- The Relu has no other reader; the model's opset is 11 or newer.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

local FIRST_INPUTS = 11 -- the opset since which Clip's bounds are inputs

return pass {
  name = "fuse_relu_min_into_clip",
  match = P.Min { P.Relu { P.any "x" }:only_use(), P.const "high" }:any_order():as "min",
  rewrite = function(graph, m)
    local t, shape = m.high.constant, m.x.shape
    if graph.opset < FIRST_INPUTS or t.dtype ~= "float32" or t.count ~= 1 or not shape or t.rank > #shape then
      return false
    end
    local high = t:reshape({ 1 }):item()
    if not (high >= 0) then return false end -- luacheck: ignore 581
    local low = assert(graph:add_constant(nil, core.tensor_from({ 0 }, "float32", {})))
    local bound = assert(graph:add_constant(nil, core.tensor_from({ high }, "float32", {})))
    local clip = assert(graph:add_node { op_type = "Clip", name = m.min.name, inputs = { m.x, low, bound },
      before = m.min })
    return pass.supersede(graph, m.min, clip)
  end,
}
