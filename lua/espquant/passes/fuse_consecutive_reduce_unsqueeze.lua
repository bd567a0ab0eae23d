--- Before: Unsqueeze(Reduce...(x, axes, keepdims = 0), axes), the same axes    After: Reduce...(x, axes, keepdims = 1)
--- The reduction must have no other reader.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

local REDUCTIONS = {
  "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
  "ReduceSum", "ReduceSumSquare",
}

-- The axes of a reduction; all where none are named.
local function reduced(node, rank)
  if not rank then return nil end
  if node:input(2) or node:has_attr "axes" then
    local list = axes.normalize(axes.read(node, "axes", 2), rank)
    return list and #list > 0 and list or nil
  end
  local all = {}
  for i = 1, rank do all[i] = i - 1 end
  return node:attr("noop_with_empty_axes", 0) == 0 and all or nil
end

return pass {
  name = "fuse_consecutive_reduce_unsqueeze",
  match = P.Unsqueeze {
    P.one_of(REDUCTIONS, { P.any "x" }):more():as "reduce":only_use():with { keepdims = 0 },
  }:more():as "node",
  rewrite = function(graph, m)
    local rank = axes.rank(m.x)
    local from, to = reduced(m.reduce, rank), axes.normalize(axes.read(m.node, "axes", 2), rank)
    if not from or not to or not axes.equal(from, to) then return false end
    assert(m.reduce:set_attr("keepdims", 1))
    return pass.supersede(graph, m.node, m.reduce)
  end,
}
