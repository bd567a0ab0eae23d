--- Before: x * 0.5 * (1 + Erf(x / sqrt(2))), its factors in any order    After: Gelu(x)
--- Where the model's opset has Gelu (20). No other reader of what lies between.
local P, pass = require "espquant.pattern", require "espquant.pass"

local SINCE = 20
local ROOT = math.sqrt(2)

local function const(wanted)
  return P.const():where(function(value)
    local t = value.constant
    return t.dtype == "float32" and t.rank == 0 and math.abs(t:item() - wanted) < 1e-6
  end)
end

local function shifted(scaled)
  return P.Add { P.Erf { scaled }:only_use(), const(1) }:any_order():only_use()
end

local function forms(scaled)
  return {
    P.Mul { P.Mul { P.any "x", shifted(scaled()) }:any_order():only_use(), const(0.5) }:any_order():as "node",
    P.Mul { P.Mul { P.any "x", const(0.5) }:any_order():only_use(), shifted(scaled()) }:any_order():as "node",
    P.Mul { P.any "x", P.Mul { shifted(scaled()), const(0.5) }:any_order():only_use() }:any_order():as "node",
  }
end

local all = forms(function() return P.Div { P.any "x", const(ROOT) }:only_use() end)
table.move(forms(function() return P.Mul { P.any "x", const(1 / ROOT) }:any_order():only_use() end), 1, 3, 4, all)

return pass {
  name = "fuse_gelu",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph.opset >= SINCE and graph:node_list() or {}) do
      for _, form in ipairs(node.alive and node.op_type == "Mul" and all or {}) do
        local m = node.alive and P.match(form, node)
        if m and m.x.dtype == "float32" then
          local gelu = assert(graph:add_node { op_type = "Gelu", name = node.name, inputs = { m.x }, before = node })
          if pass.supersede(graph, node, gelu) then count = count + 1 end
        end
      end
    end
    return count
  end,
}
