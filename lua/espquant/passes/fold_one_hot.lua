--- Before: OneHot(indices, depth, values), all constant    After: its result, a constant
--- As PyTorch's TorchScript exporter writes repeat_interleave. Indices of rank 0 or 1, the new axis last, at most
--- 65,536 elements.
local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"

local MOST = 1 << 16

local function integers(t)
  if (t.dtype ~= "int64" and t.dtype ~= "int32") or t.rank > 1 or t.count == 0 or t.count > MOST then return nil end
  return t.rank == 0 and { t:item() } or t:totable()
end

local function is_last(axis, rank) return axis == -1 or axis == rank end

return pass {
  name = "fold_one_hot",
  match = P.OneHot { P.const "indices", P.const "depth", P.const "values" }:as "node",
  rewrite = function(graph, m)
    local indices, values = m.indices.constant, m.values.constant
    local places, depth = integers(indices), integers(m.depth.constant)
    if not places or not depth or #depth ~= 1 or depth[1] < 1 or depth[1] > MOST // #places then return false end
    if values.rank ~= 1 or values.count ~= 2 or not is_last(m.node:attr("axis", -1), indices.rank) then return false end
    local off, on = table.unpack(values:totable())
    local list, n = {}, depth[1]
    for _, place in ipairs(places) do
      for k = 0, n - 1 do list[#list + 1] = (place == k or place == k - n) and on or off end
    end
    local shape = indices.rank == 0 and { n } or { #places, n }
    return pass.replace_by_constant(graph, m.node, core.tensor_from(list, values.dtype, shape))
  end,
}
