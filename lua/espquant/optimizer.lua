--- The optimizer: float graphs made simpler, with the same results.
---
---     local path  = optimizer.optimize_fp_model("mnist.onnx")             -- writes mnist_optimized.onnx
---     local model = optimizer.optimize(model, { "fuse_bn_into_conv" })    -- a new model
---     local model = optimizer.convert_model_batch_to_dynamic(model)

local core = require "espquant.core"
local errors = require "espquant.errors"
local passes = require "espquant.passes"

local M = {}

-- The original's order of steps.
local FP_MODEL = {
  "fuse_bn_into_conv", "fuse_add_bias_into_conv", "fuse_pad_into_conv", "fuse_matmul_add_bias_into_gemm",
  "fuse_transpose_into_gemm", "eliminate_nop_flatten", "eliminate_nop_pad", "eliminate_nop_transpose",
  "eliminate_unused_initializer", "eliminate_duplicate_initializer", "name_fused_gemms", "fuse_bn_into_gemm",
}
M.FP_MODEL_PASSES = FP_MODEL

--- Names of all passes, in the order in which `optimize` without a list applies them.
function M.get_available_passes()
  return { table.unpack(passes.order) }
end

local function find(name)
  local p = passes.get(name)
  if not p then
    error(("unknown pass '%s'; known are: %s"):format(tostring(name), table.concat(passes.order, ", ")), 0)
  end
  return p
end

--- A copy of the model after the named passes (default: all), each to its fixed point. Returns the copy and a table pass
--- name -> number of changes. trace(pass name, node label) is told of each change. Raises for an unknown name and for a
--- model whose shapes do not fit.
function M.optimize(model, names, trace)
  local graph, counts = model:clone(), {}
  errors.check(graph:infer_shapes())
  for _, name in ipairs(names or passes.order) do
    local n = find(name):apply(graph, trace)
    counts[name] = (counts[name] or 0) + n
    if n > 0 then errors.check(graph:infer_shapes()) end
  end
  return graph, counts
end

-- --- batch --------------------------------------------------------------------------------------------------------

-- A Reshape whose constant begins with the old batch: 0 copies the input's first dimension instead.
local function free_reshape(graph, node, batch)
  local target = node:input(2)
  local dims = target and target.constant and target.constant:totable()
  if not dims or #dims == 0 then
    errors.raise("unsupported", ("%s: its shape is computed; simplify the model first"):format(node:label()))
  end
  if dims[1] == 0 or dims[1] == -1 then return end
  local shape = node:input(1).shape
  if dims[1] ~= batch or not shape or (shape[1] and shape[1] ~= batch) then
    errors.raise("unsupported", ("%s: its shape {%s} does not begin with the batch %d, so the batch cannot become dynamic")
      :format(node:label(), table.concat(dims, ","), batch))
  end
  dims[1] = node:attr "allowzero" == 0 and 0 or -1
  if dims[1] == -1 then
    for i = 2, #dims do
      if dims[i] == -1 then
        errors.raise("unsupported", ("%s: allowzero leaves no way to say 'the batch'"):format(node:label()))
      end
    end
  end
  node:set_input(2, graph:add_constant(nil, core.tensor_from(dims, "int64")))
end

local function fixed_batch(graph)
  for _, input in ipairs(graph.inputs) do
    local shape = input.shape
    if shape and shape[1] and math.type(shape[1]) == "integer" then return shape[1] end
  end
end

--- A copy of the model whose inputs have the symbolic first dimension `N`; constants of Reshape that begin with the old
--- batch are rewritten. Raises, naming the node, where a batch is built into the model in another way.
function M.convert_model_batch_to_dynamic(model)
  local graph = model:clone()
  errors.check(graph:infer_shapes())
  local batch = fixed_batch(graph)
  if batch then
    for node in graph:nodes() do
      if node.op_type == "Reshape" then free_reshape(graph, node, batch) end
    end
  end
  for _, input in ipairs(graph.inputs) do
    local shape = input.shape
    if not shape or #shape == 0 then errors.raise("format", ("input '%s' has no batch dimension"):format(input.name)) end
    if type(shape[1]) ~= "string" then shape[1] = "N" end
    input:set_shape(shape)
  end
  graph:prune()
  errors.check(graph:infer_shapes())
  return graph
end

-- --- files --------------------------------------------------------------------------------------------------------

--- Where optimize_fp_model writes: `dir/name.onnx` -> `dir/name_optimized.onnx`.
function M.optimized_path(path)
  return (path:gsub("%.[oO][nN][nN][xX]$", "")) .. "_optimized.onnx"
end

--- The steps of the original on a float model file: batch to dynamic, shape inference, the passes in its order, names.
--- Writes beside the input (never over it) and returns the path. Raises.
function M.optimize_fp_model(path)
  if type(path) ~= "string" or not path:lower():match "%.onnx$" then
    errors.raise("format", ("%s is an unknown file format. Use the model ending with .onnx format"):format(tostring(path)))
  end
  local model = errors.check(core.onnx_read(path))
  local graph = M.optimize(M.convert_model_batch_to_dynamic(model), FP_MODEL)
  local target = M.optimized_path(path)
  errors.check(core.onnx_write(graph, target))
  return target
end

return M
