--- Before: Reshape -> MatMul(x, w) + bias -> Reshape, x of rank 3 or more, w of rank 2 and bias of shape (N) constant
--- After:  Reshape to (-1, K) -> Gemm(w, bias) -> Reshape
--- A Squeeze, Unsqueeze or Flatten is as good as a Reshape. Nobody else reads what lies between, and in the result and
--- in front of the last axis of x at most one dimension is not known. (replace_matmul_with_gemm does it everywhere.)
local pass = require "espquant.pass"
local gemm = require "espquant.gemm"

local RESHAPES = { Reshape = true, Flatten = true, Squeeze = true, Unsqueeze = true }

local function reshapes(node) return node and node.domain == "" and RESHAPES[node.op_type] end

-- Whether a Reshape can make that shape of any other: one dimension may be open, none is 0.
local function is_target(value)
  local open = 0
  for _, d in ipairs(value.shape or { 0 }) do
    if d == 0 then return false end
    if math.type(d) ~= "integer" then open = open + 1 end
  end
  return open <= 1
end

-- Whether the Reshapes around the Gemm become one with those that stand here.
local function is_between(m)
  local result = m.add:output(1)
  if m.x:use_count() ~= 1 or not reshapes(m.x.producer) then return false end
  if result:use_count() ~= 1 or result.is_output then return false end
  local reader = result:users()[1]
  return reshapes(reader) and reader:input(1) == result and is_target(reader:output(1))
end

return pass {
  name = "fuse_matmul_add_bias_between_reshapes",
  match = gemm.sum():as "add",
  rewrite = function(graph, m) return is_between(m) and gemm.rewrite(graph, m.add, m) or false end,
}
