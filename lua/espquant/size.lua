--- How large a model is: multiplications, and the largest tensors, for one image (unknown dimensions count as 1).

local M = {}

local function elements(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * (math.type(d) == "integer" and d or 1) end
  return n
end

local function known(value) return value and value.shape end

-- Products per element of the output: of a Conv the weights of one output channel, of a matrix product the inner
-- dimension.
local function per_output(node)
  local w = known(node:input(2))
  if not w then return nil end
  if node.op_type == "Conv" then return w[1] ~= 0 and elements(w) // w[1] end
  if node.op_type == "Gemm" then return w[node:attr("transB", 0) == 1 and 2 or 1] end
  if node.op_type == "MatMul" then return w[math.max(#w - 1, 1)] end
end

--- Multiply-accumulates of a node: of Conv, ConvTranspose, Gemm and MatMul; 0 for others, nil where shapes are not
--- known.
function M.macs(node)
  local op, out = node.op_type, known(node:output(1))
  if op == "ConvTranspose" then
    local x, w = known(node:input(1)), known(node:input(2))
    return x and w and w[1] ~= 0 and elements(x) * (elements(w) // w[1]) or nil
  end
  if op ~= "Conv" and op ~= "Gemm" and op ~= "MatMul" then return 0 end
  local each = per_output(node)
  return out and math.type(each) == "integer" and elements(out) * each or nil
end

--- The sum over a model, and how many nodes' shapes are not known.
function M.total_macs(model)
  local total, unknown = 0, 0
  for node in model:nodes() do
    local macs = M.macs(node)
    if macs then total = total + macs else unknown = unknown + 1 end
  end
  return total, unknown
end

--- The `count` largest tensors that are computed or fed: {name =, shape =, elements =}, large ones first.
function M.largest(model, count)
  local list = {}
  for i, value in ipairs(model:values()) do
    if not value.constant and value.shape then
      list[#list + 1] = { name = value.name, shape = value.shape, elements = elements(value.shape), index = i }
    end
  end
  table.sort(list, function(a, b)
    return a.elements > b.elements or a.elements == b.elements and a.index < b.index
  end)
  return table.move(list, 1, math.min(count, #list), 1, {})
end

return M
