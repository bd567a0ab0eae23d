--- The channels of a constant weight, whatever its layout: how large each is, and each times a number of its own.
---
---     local out = weight_channels.outputs(conv)          -- nil: no weight that is known
---     local reach = out:reach()                          -- a list: the largest absolute number of each channel
---     local tensor = out:scaled(factors)                 -- the weight, channel i times factors[i]
---     local into = weight_channels.inputs(gemm, 49)      -- 49 columns in a row belong to one channel
---
--- Conv, ConvTranspose (of any groups), Gemm without transA, and MatMul with a matrix of constants on the right.

local core = require "espquant.core"

local Channels = {}
Channels.__index = Channels

local M = {}

-- The weight as (a, b, c, d) whose channels are the pairs of a and c.
local function view(tensor, shape)
  local count = shape[1] * shape[3]
  return setmetatable({ tensor = tensor, shape = shape, count = count }, Channels)
end

local OUTPUTS, INPUTS = {}, {}

-- (filters, channels of a group, positions): a filter is an output channel, ...
function OUTPUTS.Conv(t) return { t.shape[1], 1, 1, t.count // t.shape[1] } end
function INPUTS.Conv(t, group) return { group, t.shape[1] // group, t.shape[2], -1 } end
-- ... here an input channel.
OUTPUTS.ConvTranspose, INPUTS.ConvTranspose = INPUTS.Conv, OUTPUTS.Conv
-- (inputs, outputs)
function OUTPUTS.MatMul(t) return { 1, t.shape[1], t.shape[2], 1 } end
function INPUTS.MatMul(t, _, columns) return { t.shape[1] // columns, 1, 1, columns * t.shape[2] } end

-- A Gemm's weight may be (outputs, inputs).
function OUTPUTS.Gemm(t, _, _, turned)
  return turned and { t.shape[1], 1, 1, t.shape[2] } or OUTPUTS.MatMul(t)
end

function INPUTS.Gemm(t, _, columns, turned)
  return turned and { 1, t.shape[1], t.shape[2] // columns, columns } or INPUTS.MatMul(t, nil, columns)
end

local RANK = { Conv = 3, ConvTranspose = 3, Gemm = 2, MatMul = 2 } -- at least; of products exactly

local function weight_of(node)
  local rank = node.domain == "" and RANK[node.op_type]
  local value = rank and node:input(2)
  local t = value and value.constant
  if not t or t.dtype ~= "float32" or t.count == 0 or t.rank < rank or (rank == 2 and t.rank > 2) then return nil end
  return t
end

local function make(rules, node, columns)
  local t, group = weight_of(node), node:attr("group", 1)
  if not t or node:attr("transA", 0) ~= 0 or math.type(group) ~= "integer" or group < 1 then return nil end
  if (RANK[node.op_type] == 3 and t.shape[1] % group ~= 0) then return nil end
  local shape = rules[node.op_type](t, group, columns, node:attr("transB", 0) ~= 0)
  local total = 1
  for _, d in ipairs(shape) do total = total * d end
  if shape[4] == -1 then
    shape[4] = t.count // -total
    total = -total * shape[4]
  end
  return total == t.count and view(t, shape) or nil
end

--- The output channels of the node's weight; nil where it has none that is constant and float32.
function M.outputs(node) return make(OUTPUTS, node, 1) end

--- The input channels, each `columns` (default 1) neighbours of a product's weight; nil as above.
function M.inputs(node, columns) return make(INPUTS, node, columns or 1) end

--- The list of the largest absolute number of each channel.
function Channels:reach()
  local t = self.tensor:reshape(self.shape)
  if self.shape[2] > 1 then t = t:transpose { 0, 2, 1, 3 } end
  return t:reshape({ self.count, -1 }):maxabs(0):totable()
end

--- A new tensor: channel i of the weight, or of another tensor of its shape, times factors[i].
function Channels:scaled(factors, tensor)
  local t = tensor or self.tensor
  local k = core.tensor_from(factors, "float32", { self.shape[1], 1, self.shape[3], 1 })
  return (t:reshape(self.shape) * k):reshape(t.shape)
end

return M
