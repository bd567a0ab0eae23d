--- Before: Clip(x + 3, 0, 6) / 6, Clip(x * 0.2 + 0.5, 0, 1) and the like    After: HardSigmoid(x, alpha, 0.5)
--- Before: x * Clip(x + 3, 0, 6) / 6                                         After: x * HardSigmoid(x, 1/6, 0.5)
--- Factors and summands in any order; a Clip is also a Min of a Relu (fuse_clips). No other reader of what lies
--- between. Where the model's opset has HardSwish, fuse_swish makes that of the second.
local pass = require "espquant.pass"
local axes = require "espquant.axes"
local numbers = require "espquant.numbers"

local STARTS = { Clip = true, Mul = true, Div = true }

-- x and alpha if factor * value is HardSigmoid(x).
local function sigmoid_of(value, factor)
  local clip = value.producer
  local inner, low, high = nil, nil, nil
  if clip and clip.op_type == "Clip" then inner, low, high = numbers.limits(clip) end
  if low ~= 0 or factor <= 0 or not numbers.near(high * factor, 1) then return nil end
  local x, slope, shift = numbers.affine(inner)
  if x == inner or slope <= 0 or not numbers.near(shift * factor, 0.5) or not numbers.same_form(x, value) then
    return nil
  end
  return x, slope * factor
end

-- Whether numbers in between have not given the result more axes than the operands have.
local function has_rank_of(result, x, other)
  local a, b, c = axes.rank(result), axes.rank(x), axes.rank(other or x)
  return a ~= nil and b ~= nil and c ~= nil and a == math.max(b, c)
end

-- x, alpha, and what else is multiplied (nil: nothing), of a node that ends a HardSigmoid.
local function find(node)
  local result, factor, factors = node:output(1), 1.0, { node:output(1) }
  if node.op_type ~= "Clip" then factor, factors = numbers.product(node) end
  for i, value in ipairs(#factors <= 2 and factors or {}) do
    local x, alpha = nil, nil
    if value == result or value:use_count() == 1 then x, alpha = sigmoid_of(value, factor) end
    if x and has_rank_of(result, x, factors[3 - i]) then return x, alpha, factors[3 - i] end
  end
end

local function fuse(graph, node)
  local x, alpha, other = find(node)
  if not x then return false end
  local made = assert(graph:add_node { op_type = "HardSigmoid", name = not other and node.name or "", inputs = { x },
    attrs = { alpha = alpha, beta = 0.5 }, before = node })
  if other then
    made = assert(graph:add_node { op_type = "Mul", name = node.name, inputs = { other, made:output(1) },
      before = node })
  end
  return pass.supersede(graph, node, made)
end

return pass {
  name = "fuse_hard_sigmoid",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local starts = node.alive and node.domain == "" and STARTS[node.op_type]
      if starts and fuse(graph, node) then count = count + 1 end
    end
    return count
  end,
}
