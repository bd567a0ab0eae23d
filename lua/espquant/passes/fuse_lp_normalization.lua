--- Before: x / norm, norm = ReduceL2(x) or ReduceL1(x) along one axis, its dimension kept    After: LpNormalization(x)
--- The norm may be limited from below by at most 1e-12 (Clip, Max) and expanded to the shape of x. Numbers differ only
--- where a norm is smaller than that: LpNormalization of zeros is zeros.
local P, pass = require "espquant.pattern", require "espquant.pass"
local normalization = require "espquant.normalization"
local numbers = require "espquant.numbers"

local MOST_BOUND = 1e-12

local function squares() return normalization.square(function() return P.any "x" end) end

local norm = P.either {
  normalization.reduce("ReduceL1", P.any "x", "reduce"),
  normalization.reduce("ReduceL2", P.any "x", "reduce"),
  P.Sqrt { normalization.reduce("ReduceSumSquare", P.any "x", "reduce") },
  P.Sqrt { normalization.reduce("ReduceSum", squares(), "reduce") },
}

-- Whether a Clip or Max lets all pass but what is as good as zero.
local function is_low(node)
  local inner, low, high = numbers.limits(node)
  return inner ~= nil and low <= MOST_BOUND and high == math.huge
end

local bounded = P.either {
  norm,
  P.Clip { norm, P.opt(P.const()), P.opt(P.const()) }:where(is_low),
  P.Max { norm, P.const() }:any_order():where(is_low),
}

local expanded = P.either { bounded, P.Expand { bounded, P.any() } }

local function same_shape(a, b)
  local first, second = a.shape, b.shape
  if not first or not second or #first ~= #second then return false end
  for i, d in ipairs(first) do
    if not d or d ~= second[i] then return false end
  end
  return true
end

return pass {
  name = "fuse_lp_normalization",
  match = P.Div { P.any "x", expanded }:as "node",
  rewrite = function(graph, m)
    local list = normalization.common_axes(m.x, m.reduce)
    if not list or #list ~= 1 or m.x.dtype ~= "float32" or not same_shape(m.x, m.node:output(1)) then return false end
    local made = assert(graph:add_node { op_type = "LpNormalization", name = m.node.name, inputs = { m.x },
      attrs = { axis = list[1], p = m.reduce.op_type == "ReduceL1" and 1 or 2 }, before = m.node })
    return pass.supersede(graph, m.node, made)
  end,
}
