--- The optimizer: float graphs made simpler, with the same results.
---
---     local path  = optimizer.optimize_fp_model("mnist.onnx")             -- writes mnist_optimized.onnx
---     local model = optimizer.optimize(model, { "fuse_bn_into_conv" })    -- a new model
---     local model, counts, facts = optimizer.optimize(model, nil, { fixed_point = true, verify = true })
---     local model = optimizer.convert_model_batch_to_dynamic(model)
---
--- The model that is given is never changed.

local core = require "espquant.core"
local errors = require "espquant.errors"
local folded_names = require "espquant.folded_names"
local help = require "espquant.help"
local node_names = require "espquant.node_names"
local onnx = require "espquant.onnx"
local pass = require "espquant.pass"
local passes = require "espquant.passes"
local proof = require "espquant.proof"

local M = {}

--- The passes of optimize_fp_model, in the original's order.
M.FP_MODEL_PASSES = passes.original

--- Names of passes that ONNX Optimizer has and that are not done here -> the reason.
M.REFUSED_PASSES = passes.refused

-- Differences beyond this are no rounding.
local MOST_DIFFERENCE = 1e-3

--- Names of all passes, in the order in which `optimize` without a list applies them. A second list: those that only
--- run when they are named, since they change the outputs or suit some chips only.
function M.get_available_passes()
  return { table.unpack(passes.order) }, { table.unpack(passes.on_request) }
end

--- What there is to know of every pass, a list of { name =, text = its Before and After, default = whether `optimize`
--- runs it without a list, original = whether optimize_fp_model does }; then the refused: { name =, refused = why }.
function M.passes()
  local list, original = {}, {}
  for _, name in ipairs(passes.original) do original[name] = true end
  for _, names in ipairs { passes.order, passes.on_request } do
    for _, name in ipairs(names) do
      list[#list + 1] = {
        name = name, text = help.of_module("espquant.passes." .. name), default = names == passes.order,
        original = original[name] or false,
      }
    end
  end
  local refused = {}
  for name, why in pairs(passes.refused) do refused[#refused + 1] = { name = name, refused = why } end
  table.sort(refused, function(a, b) return a.name < b.name end)
  return table.move(refused, 1, #refused, #list + 1, list)
end

local function find(name)
  local p = passes.get(name)
  if p then return p end
  local why = passes.refused[name]
  if why then error(("pass '%s' is not done: %s"):format(name, why), 0) end
  local known = table.concat(passes.order, ", ") .. ", " .. table.concat(passes.on_request, ", ")
  error(("unknown pass '%s'; known are: %s"):format(tostring(name), known), 0)
end

-- Their subgraphs read tensors by name, where passes cannot see it.
local HAS_SUBGRAPH = { If = true, Loop = true, Scan = true, SequenceMap = true }

local function copy_of(model)
  for node in model:nodes() do
    if HAS_SUBGRAPH[node.op_type] then
      errors.raise("unsupported", ("%s holds a graph of its own; simplify the model first"):format(node:label()))
    end
  end
  local graph = errors.check(model:clone())
  errors.check(graph:infer_shapes())
  return graph
end

-- An empty list is most likely the notes of `optimize(onnx.load(path))`: a mistake that would do nothing.
local function find_all(names)
  if #names == 0 then error("the list of passes is empty", 0) end
  local list = {}
  for i, name in ipairs(names) do list[i] = find(name) end
  return list
end

local OPTIONS = { trace = true, fixed_point = true, verify = true }

-- Passes that are named undo each other's work no more often than this; without names it is enough after a few rounds.
local MOST_ROUNDS, ENOUGH = 100, 16

-- One round; returns how many changes there were.
local function apply_all(graph, list, counts, trace)
  local total = 0
  for _, p in ipairs(list) do
    local n = p:apply(graph, trace)
    counts[p.name] = (counts[p.name] or 0) + n
    if n > 0 then errors.check(graph:infer_shapes()) end
    total = total + n
  end
  return total
end

local function prove(before, graph)
  local facts, why, broken = proof.compare(before, graph)
  if broken then errors.raise("bug", "the optimized model does not run: " .. why) end
  if not facts then return { unknown = why } end
  if facts.difference <= MOST_DIFFERENCE then return facts end
  errors.raise("bug", ("after optimization output '%s' differs by %.2g of its largest number; name the passes one by "
    .. "one to find the one that does it"):format(facts.output, facts.difference))
end

--- A copy of the model after the named passes, each to its fixed point; without names after all but those on request,
--- and these over and over until nothing changes. Then every node has a name of its own. Returns the copy, a table pass
--- name -> number of changes, and the facts of `verify`. Options:
---   trace(pass name, node label)   is told of each rewrite (a function in place of the options is this one)
---   fixed_point = true             repeats the list of names, too
---   verify = true                  runs both models on the same random input; the third result is
---                                  { difference =, output =, compared =, skipped = } or { unknown = why }
--- Raises for an unknown name, for a model whose shapes do not fit, for one that holds subgraphs, and when verification
--- finds a difference beyond rounding.
function M.optimize(model, names, options)
  if type(options) == "function" then options = { trace = options } end
  options = options or {}
  for key in pairs(options) do
    if not OPTIONS[key] then error(("optimize: unknown option '%s'"):format(tostring(key)), 2) end
  end
  local list = find_all(names or passes.order)
  local graph, counts = copy_of(model), {}
  local most = options.fixed_point and MOST_ROUNDS or names and 1 or ENOUGH
  local before = options.verify and copy_of(model)
  for round = 1, most do
    if apply_all(graph, list, counts, options.trace) == 0 then break end
    if round == MOST_ROUNDS then error("the passes do not come to an end; name fewer of them", 0) end
  end
  node_names.complete(graph)
  return graph, counts, before and prove(before, graph) or nil
end

--- The names of the list `also` (or nil) and then those of `list` (default: FP_MODEL_PASSES) that do not undo one of
--- those, as a new list.
function M.with_passes(also, list)
  local names, left_out = {}, {}
  for _, name in ipairs(also or {}) do
    names[#names + 1] = name
    for _, undoing in ipairs(passes.undone_by[name] or {}) do left_out[undoing] = true end
  end
  for _, name in ipairs(list or M.FP_MODEL_PASSES) do
    if not left_out[name] then names[#names + 1] = name end
  end
  return names
end

-- --- batch --------------------------------------------------------------------------------------------------------

local function unsupported(...)
  return nil, string.format(...), "unsupported"
end

-- The first dimension of the first input: a number, or a name; "N" when nothing is known of it.
local function find_batch(graph)
  local first = graph.inputs[1]
  if not first then errors.raise("format", "the model has no input") end
  local shape = first.shape
  if not shape or #shape == 0 then errors.raise("format", ("input '%s' has no batch dimension"):format(first.name)) end
  return shape[1] or "N"
end

-- Gives every input the symbol as its batch, unless it has one. A scalar has none.
local function name_batch(graph, batch, symbol)
  for _, input in ipairs(graph.inputs) do
    local shape = input.shape
    local first = shape and shape[1]
    if first == batch or first == false then
      shape[1] = symbol
      errors.check(input:set_shape(shape))
    elseif math.type(first) == "integer" and batch ~= symbol then
      return unsupported("input '%s' begins with %d, the batch is %d", input.name, first, batch)
    end
  end
  return true
end

-- The names of all tensors that are computed from the inputs.
local function computed(graph)
  local names = {}
  for _, input in ipairs(graph.inputs) do names[input.name] = true end
  for node in graph:nodes() do
    local depends = false
    for _, value in ipairs(node.inputs) do depends = depends or (value and names[value.name]) end
    for _, value in ipairs(depends and node.outputs or {}) do
      if value then names[value.name] = true end
    end
  end
  return names
end

-- Lets a 0 in the shape of a Reshape stand for the input's dimension; false where it holds a plain zero.
local function let_zero_copy(node, dims)
  if node:attr "allowzero" == 0 then return true end
  for _, d in ipairs(dims) do
    if d == 0 then return false end
  end
  node:set_attr("allowzero", nil)
  return true
end

-- Whether a Reshape to `dims` keeps the first dimension of its input. A batch that is symbolic already was 1 when the
-- model was traced.
local function keeps_batch(node, dims, batch)
  local shape = node:input(1).shape
  local first = shape and shape[1]
  if math.type(batch) == "integer" then return dims[1] == batch and first == batch end
  return dims[1] == 1 and shape and math.type(first) ~= "integer"
end

-- Lets a Reshape to a constant that begins with the batch follow the batch. Any other first number mixes the axis: a
-- fixed batch cannot become dynamic then; a model whose batch is dynamic stays as it is.
local function free_reshape(graph, node, batch)
  local target = node:input(2)
  local dims = target and target.constant and target.constant:totable() or {}
  if not dims[1] or dims[1] == 0 or dims[1] == -1 then return true end
  if keeps_batch(node, dims, batch) and let_zero_copy(node, dims) then
    dims[1] = 0
    pass.set_constant(graph, node, 2, core.tensor_from(dims, "int64"), "shape")
  elseif math.type(batch) == "integer" then
    return unsupported("%s: its constant shape {%s} does not keep the batch of %d apart, so it cannot become dynamic",
      node:label(), table.concat(dims, ","), batch)
  end
  return true
end

-- The model with a symbolic batch, or nil, message, "unsupported". Shapes are those of the old batch until the end.
local function with_dynamic_batch(model)
  local graph = copy_of(model)
  local batch = find_batch(graph)
  local symbol = type(batch) == "string" and batch or "N"
  local depends = computed(graph)
  for node in graph:nodes() do
    if node.op_type == "Reshape" and node.domain == "" and depends[node:input(1).name] then
      local done, message, code = free_reshape(graph, node, batch)
      if not done then return nil, message, code end
    end
  end
  local done, message, code = name_batch(graph, batch, symbol)
  if not done then return nil, message, code end
  errors.check(graph:infer_shapes())
  return graph
end

--- A copy of the model whose inputs have a symbolic first dimension: `N`, or the name that it has already. Constants of
--- Reshape that begin with the old batch are rewritten. Raises "unsupported", naming the node or input, where the batch
--- is built into the model in another way.
function M.convert_model_batch_to_dynamic(model)
  return (errors.check(with_dynamic_batch(model)))
end

-- --- files --------------------------------------------------------------------------------------------------------

--- Where optimize_fp_model writes: `dir/name.onnx` -> `dir/name_optimized.onnx`.
function M.optimized_path(path)
  return (path:gsub("%.[oO][nN][nN][xX]$", "")) .. "_optimized.onnx"
end

-- As the original: the first input is taken as float32, whatever its type is said to be.
local function float_input(graph, notes)
  local input = graph.inputs[1]
  if not input or input.dtype == "float32" then return end
  notes[#notes + 1] = ("input '%s' is taken as float32, it was %s"):format(input.name, input.dtype or "of no type")
  input:set_dtype "float32"
end

local function optimize_file_model(model, notes, also)
  float_input(model, notes)
  local dynamic, why = with_dynamic_batch(model)
  if not dynamic then notes[#notes + 1] = "the batch stays fixed: " .. why end
  local graph = dynamic or copy_of(model)
  folded_names.apply(graph)
  return (M.optimize(graph, M.with_passes(also)))
end

-- f(...), with the path in front of the errors that it raises.
local function naming(path, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if errors.is(result) then errors.raise(result.code, path .. ": " .. result.message, result.problems) end
  error(result, 0)
end

local function plain(path)
  return (path:gsub("/%./", "/"):gsub("^%./", ""):gsub("//+", "/"))
end

--- The steps of the original on a float model file: float input, batch to dynamic, shape inference, the passes in its
--- order, names. Writes `output` (default: optimized_path(path)), never over the input, and returns its path and a list
--- of notes: what is odd in the file, and why the batch had to stay as it is. `also`: names of passes to run before
--- those, for instance { "cut_final_softmax" }. Raises.
function M.optimize_fp_model(path, output, also)
  if type(path) ~= "string" or not path:lower():match "%.onnx$" then
    errors.raise("format", tostring(path) .. " is an unknown file format. Use the model ending with .onnx format")
  end
  local target = output or M.optimized_path(path)
  if plain(target) == plain(path) then error(path .. ": the result would overwrite the model", 0) end
  local model, notes = errors.check(onnx.read(path))
  errors.check(onnx.save(naming(path, optimize_file_model, model, notes, also), target))
  return target, notes
end

return M
