--- Before: x * 0.5 * (1 + Erf(x / sqrt(2)))                                     After: Gelu(x)
--- Before: x * 0.5 * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x ^ 3)))          After: Gelu(x, approximate = tanh)
--- Factors and summands in any order, powers as Pow or products. Where the model's opset has Gelu (20; raise_opset). No
--- other reader of what lies between.
local P, pass = require "espquant.pattern", require "espquant.pass"
local numbers = require "espquant.numbers"

local SINCE = 20
local SLOPE = math.sqrt(2 / math.pi)

-- The attributes of Gelu by the function, and what that is applied to.
local CURVES = {
  Erf = { polynomial = { [1] = math.sqrt(0.5) } },
  Tanh = { polynomial = { [1] = SLOPE, [3] = SLOPE * 0.044715 }, attrs = { approximate = "tanh" } },
}

local curve = P.one_of({ "Erf", "Tanh" }, { P.any "inner" }):as "curve":only_use()
local shifted = P.Add { curve, numbers.is(1) }:any_order()

-- The curve of Gelu(x) that the value is, or nil.
local function curve_of(value, x)
  local m = value:use_count() == 1 and value.producer and P.match(shifted, value.producer)
  local kind = m and CURVES[m.curve.op_type]
  return kind and numbers.is_polynomial(m.inner, x, kind.polynomial) and kind or nil
end

-- The input and the curve of a Gelu whose last product the node is.
local function find(node)
  local half, factors = numbers.product(node)
  if #factors ~= 2 or not numbers.near(half, 0.5) then return nil end
  for i = 1, 2 do
    local x, kind = factors[i], curve_of(factors[3 - i], factors[i])
    if kind and numbers.same_form(x, node:output(1)) then return x, kind end
  end
end

local function fuse(graph, node)
  local x, kind = find(node)
  if not x then return false end
  local gelu = assert(graph:add_node { op_type = "Gelu", name = node.name, inputs = { x }, before = node,
    attrs = kind.attrs })
  return pass.supersede(graph, node, gelu)
end

return pass {
  name = "fuse_gelu",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph.opset >= SINCE and graph:node_list() or {}) do
      local is_product = node.alive and node.domain == "" and (node.op_type == "Mul" or node.op_type == "Div")
      if is_product and fuse(graph, node) then count = count + 1 end
    end
    return count
  end,
}
