--- Before: x -> Softmax -> graph output    After: x, the logits, is the graph output, under its own name
--- The largest logit is the largest probability; the application computes what else it needs. Since the output is
--- another one, this pass runs only when it is named.
local P, pass = require "espquant.pattern", require "espquant.pass"

-- The place of the value among the graph's outputs, or nil.
local function place(graph, value)
  for i, output in ipairs(graph.outputs) do
    if output == value then return i end
  end
end

return pass {
  name = "cut_final_softmax",
  match = P.Softmax { P.any "x" }:as "node",
  rewrite = function(graph, m)
    local y = m.node:output(1)
    local index = place(graph, y)
    if not index or y:use_count() > 1 or not m.x.producer or place(graph, m.x) then return false end
    assert(graph:add_output(m.x, index))
    pass.release(graph, m.node)
    return true
  end,
}
