--- What ESP-DL v3's kernels do not do of an operator that the runtime has: a reason and a remedy for a node.
---
---     local why = restrictions.reason(node)     -- nil: nothing
---
--- The node is one of a prepared graph (quant/v3/prepare.lua): what is refused here is what no form could resolve.

local axes = require "espquant.axes"

local M = {}

local MAX_RANK = 4

local OF = {}

-- --- windows ---------------------------------------------------------------------------------------------------------

local function any(list, test)
  for _, x in ipairs(list or {}) do
    if test(x) then return true end
  end
  return false
end

local function unknown_pads(node)
  if node:attr("auto_pad", "NOTSET") ~= "NOTSET" then
    return "its auto_pad needs to know the sizes; give the model's inputs fixed shapes (--shape)"
  end
end

function OF.Conv(node)
  local x, shape = node:input(1), node:input(2).shape
  local group, channels = node:attr("group", 1), x.shape and x.shape[2]
  if shape and #shape > MAX_RANK then return "it is a 3-D convolution; the chip has 1-D and 2-D ones" end
  if unknown_pads(node) then return unknown_pads(node) end
  if group == 1 then return nil end
  if group ~= channels then
    return ("it has %d groups of %s channels; split it into one Conv for each group"):format(group, channels)
  end
  if shape and shape[1] ~= channels then
    return ("its %d groups have %d channels each at the output; split it into depthwise Convs of one"):format(group,
      shape[1] // group)
  end
end

local function pool(node)
  local x = node:input(1)
  if x.shape and #x.shape > MAX_RANK then return "it is a 3-D pool; the chip has 1-D and 2-D ones" end
  if any(axes.attribute(node, "dilations"), function(d) return d ~= 1 end) then
    return "its windows are dilated; the chip's pools are not: train it without"
  end
  if node:attr("ceil_mode", 0) ~= 0 then
    return "its last windows do not fit into the input (ceil_mode), the chip leaves these out; choose another size, or "
      .. "a Pad in front"
  end
  return unknown_pads(node)
end

function OF.AveragePool(node)
  local is_padded = any(axes.attribute(node, "pads"), function(p) return p > 0 end)
  if is_padded and node:attr("count_include_pad", 0) == 0 then
    return "it leaves its padding out of the mean, the chip counts it; export it with count_include_pad = 1, or "
      .. "without padding"
  end
  return pool(node)
end

function OF.MaxPool(node)
  if node:output(2) then return "it returns Indices, the chip the values only; do without them" end
  return pool(node)
end

function OF.ConvTranspose()
  return "it crops more than its kernel reaches; train it with smaller pads, or a Slice behind it"
end

-- --- shapes ----------------------------------------------------------------------------------------------------------

local function rank_of(node)
  for _, value in ipairs(node.inputs) do
    if value and value.shape and #value.shape > MAX_RANK then return #value.shape end
  end
end

local function up_to_4(node)
  local rank = rank_of(node)
  return rank and ("it has %d dimensions, the chip's kernel 4 at most; reshape the model to fewer"):format(rank) or nil
end

for name in ([[Add Sub Mul Div Pow Mod Equal Greater GreaterOrEqual Less LessOrEqual ReduceL1 ReduceL2
  ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare]]):gmatch "%a+" do
  OF[name] = up_to_4
end

function OF.MatMul(node)
  for _, value in ipairs(node.inputs) do
    if value.shape and #value.shape < 2 then return "it multiplies with a vector; make it a matrix of one line" end
  end
  return up_to_4(node)
end

function OF.Mod(node)
  if node:attr("fmod", 0) == 0 then return "its fmod is 0; the chip has fmod = 1 only" end
  return up_to_4(node)
end

function OF.Gemm(node)
  if node:attr("transA", 0) ~= 0 then return "it transposes its input (transA); put a Transpose before it" end
  local w, bias = node:input(2), node:input(3)
  local columns = w.shape and w.shape[node:attr("transB", 0) ~= 0 and 1 or 2]
  if bias and bias.shape and not (#bias.shape == 1 and bias.shape[1] == columns) then
    return "its bias is no vector of one number per column; use MatMul and Add"
  end
  if node:attr("alpha", 1.0) ~= 1 or bias and node:attr("beta", 1.0) ~= 1 then
    return "its alpha or beta scales what is computed; use MatMul and Mul"
  end
end

function OF.PRelu(node)
  local slope, x = node:input(2), node:input(1)
  local count = slope.constant and slope.constant.count
  local rank = axes.rank(x)
  if count == 1 or not rank then return nil end
  local wanted = { slope.shape[1] }
  for i = 2, rank - 1 do wanted[i] = 1 end
  if not axes.equal(wanted, slope.shape) or wanted[1] ~= x.shape[2] then
    return "its slopes are neither one nor one per channel; give each channel one"
  end
end

function OF.Pad(node)
  if node:attr("mode", "constant") == "wrap" then return "its mode is wrap; the chip has constant, edge and reflect" end
end

-- --- others ----------------------------------------------------------------------------------------------------------

local function recurrent(node)
  local x = node:input(1)
  if node.op_type == "GRU" and node:attr("linear_before_reset", 0) == 0 then
    return "its linear_before_reset is 0, the chip's kernel has 1 only; train it so (as PyTorch does)"
  end
  if node:input(5) then return "it has lengths of sequences; the chip's kernel reads whole ones: leave them out" end
  if node:input(8) then return "it has peepholes, the chip's kernel has none; train it without" end
  for _, attribute in ipairs { "clip", "activations" } do
    if node:has_attr(attribute) then
      return ("its attribute %s is not known to the chip's kernel; train it without"):format(attribute)
    end
  end
  local batch = x.shape and x.shape[node:attr("layout", 0) == 1 and 1 or 2]
  if math.type(batch) == "integer" and batch ~= 1 then
    return ("its batch is %d; the chip takes one sequence at a time: export the model with a batch of 1"):format(batch)
  end
end
OF.GRU, OF.LSTM = recurrent, recurrent

local LINEAR = { half_pixel = true, pytorch_half_pixel = true, align_corners = true }

-- Nearest takes floor(i / scale). What others ask for is the same where an image grows by whole numbers.
local function grows_by_integers(node)
  local x, y = axes.known(node:input(1).shape), axes.known(node:output(1).shape)
  if not x or not y then return false end
  for i, size in ipairs(x) do
    if size < 1 or y[i] % size ~= 0 then return false end
  end
  return true
end

function OF.Resize(node)
  local mode, coordinates = node:attr("mode", "nearest"), node:attr("coordinate_transformation_mode", "half_pixel")
  if mode == "cubic" then return "its mode is cubic; the chip has nearest and linear" end
  if node:attr("antialias", 0) ~= 0 then return "it has an antialias filter, the chip none; resize without" end
  if rank_of(node) then return "it resizes a volume; the chip resizes rows and images" end
  if mode == "linear" and not LINEAR[coordinates] then
    return ("its coordinates are %s; the chip's linear mode has half_pixel and align_corners"):format(coordinates)
  end
  local is_floor = coordinates == "asymmetric" and node:attr("nearest_mode", "round_prefer_floor") == "floor"
  if mode == "nearest" and not is_floor and not grows_by_integers(node) then
    return ("its coordinates are %s; the chip's nearest mode has asymmetric ones with nearest_mode floor"):format(
      coordinates)
  end
end

function OF.DepthToSpace(node)
  if node:attr("mode", "DCR") ~= "DCR" then return "its mode is CRD; the chip has DCR: export it so" end
end

function OF.SpaceToDepth()
  return "its channels are not known, or too many; give the model's inputs fixed shapes (--shape)"
end

-- --- operators that the runtime does not load ------------------------------------------------------------------------

local OPTIMIZE = "optimize the model first (espquant optimize)"
local REMEDIES = {
  BatchNormalization = "put it behind a Conv or Gemm, and " .. OPTIMIZE, Cast = OPTIMIZE, Shape = OPTIMIZE,
  ConstantOfShape = OPTIMIZE, Range = OPTIMIZE, Size = OPTIMIZE, Expand = OPTIMIZE, Einsum = OPTIMIZE, Erf = OPTIMIZE,
  Min = "a Clip does it with a constant", Max = "a Relu or Clip does it with a constant",
  Where = "multiply by a mask", Abs = "use Relu(x) + Relu(-x)", Tile = "use a Concat",
  Mean = "use Add and Mul",
}

--- Why the runtime does not load an operator of that name, as for `reason`.
function M.unregistered(op_type)
  return ("ESP-DL v3 does not load the operator %s; %s, or leave it to the application"):format(op_type,
    REMEDIES[op_type] or "replace it")
end

--- Why a node of a registered operator cannot be run; nil: it can.
function M.reason(node)
  local why = node.domain == "" and OF[node.op_type]
  return why and why(node) or nil
end

return M
