--- MatMul with constant weights as a Gemm, which has two axes, between two Reshapes.

local core = require "espquant.core"
local P, pass = require "espquant.pattern", require "espquant.pass"

local M = {}

--- A pattern: MatMul(x, w), captured as "matmul".
function M.product() return P.MatMul { P.any "x", P.const "w" }:as "matmul" end

--- A pattern: MatMul(x, w) + bias, the product without another reader.
function M.sum() return P.Add { M.product():only_use(), P.const "bias" }:any_order() end

-- The target of the Reshape back: dimensions of x, -1 for the one that is not known, and then the columns.
local function target(shape, columns)
  local dims, open = {}, 0
  for i = 1, #shape - 1 do
    local known = math.type(shape[i]) == "integer"
    if known and shape[i] < 1 then return nil end
    dims[i], open = known and shape[i] or -1, open + (known and 0 or 1)
  end
  dims[#shape] = columns
  return open <= 1 and dims or nil
end

local function reshape(graph, node, x, dims)
  local shape = assert(graph:add_constant(nil, core.tensor_from(dims, "int64")))
  return assert(graph:add_node { op_type = "Reshape", inputs = { x, shape }, before = node })
end

local function is_row(bias, columns)
  return bias.dtype == "float32" and bias.rank >= 1 and bias.count == columns and bias.shape[bias.rank] == columns
end

--- Puts Reshape, Gemm and Reshape in place of the node, the root of a match m of `product` or `sum`. False where x has
--- less than three axes or more than one open in front of the last, or where the sum is no bias.
function M.rewrite(graph, node, m)
  local w, shape, bias = m.w.constant, m.x.shape, m.bias
  if not shape or #shape < 3 or m.x.dtype ~= "float32" or w.dtype ~= "float32" or w.rank ~= 2 or w.count == 0 then
    return false
  end
  local dims = target(shape, w.shape[2])
  if not dims or (bias and (bias.constant.rank > #shape or not is_row(bias.constant, w.shape[2]))) then return false end
  local rows = reshape(graph, node, m.x, { -1, w.shape[1] }):output(1)
  local gemm = assert(graph:add_node { op_type = "Gemm", name = m.matmul.name, inputs = { rows, m.w, bias },
    before = node })
  if bias and bias.constant.rank ~= 1 then
    pass.set_constant(graph, gemm, 3, bias.constant:reshape { -1 }, "bias")
  end
  return pass.supersede(graph, node, reshape(graph, node, gemm:output(1), dims))
end

return M
