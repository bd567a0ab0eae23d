--- The right operand of a MatMul that is computed: what the runtime expects of it depends on its version.
---
---     matmul.pack(device, { runtime_version = "3.3.9", target = "esp32s3" })
---
--- Up to 3.3.9 the runtime reads it in the order of a filter, so nodes that bring it into that order are put in front.
--- Later ones read it as it is where the node says so (`input1_layout`).

local core = require "espquant.core"

local M = {}

local LAST_PACKED = { 3, 3, 9 }

-- Whether a version such as "3.4.0" is later than that.
local function is_later(version)
  local k = 0
  for number in version:gmatch "%d+" do
    k = k + 1
    local n, last = tonumber(number), LAST_PACKED[k] or 0
    if n ~= last then return n > last end
  end
  return false
end

local function ints(list) return { name = "", constant = core.tensor_from(list, "int64") } end

-- --- nodes in front ------------------------------------------------------------------------------------------------

local Chain = {}
Chain.__index = Chain

local function free_name(self, base)
  local name, number = base, 1
  while self.device.taken[name] do
    number = number + 1
    name = ("%s_%d"):format(base, number)
  end
  self.device.taken[name] = true
  return name
end

-- One more node; its result is { name, dtype, shape, quant }.
function Chain:add(op_type, inputs, shape, attrs)
  local x = inputs[1]
  local y = { name = free_name(self, self.base .. "_packed"), dtype = x.dtype, quant = x.quant, shape = shape,
    perm = {} }
  for k = 1, #shape do y.perm[k] = k end
  for _, input in ipairs(inputs) do
    if input.constant and input.name == "" then input.name = free_name(self, y.name .. "_" .. op_type:lower()) end
  end
  self.device.values[#self.device.values + 1] = y
  self.list[#self.list + 1] = { op_type = op_type, name = y.name, inputs = inputs, outputs = { y }, attrs = attrs
    or {} }
  return y
end

function Chain:reshape(x, shape) return self:add("Reshape", { x, ints(shape) }, shape, { allowzero = 0 }) end

function Chain:transpose(x, perm)
  local shape = {}
  for k, axis in ipairs(perm) do shape[k] = x.shape[axis + 1] end
  return self:add("Transpose", { x }, shape, { perm = perm })
end

-- Rows `first` to `last` (from 0, the end excluded) of the last axis but one.
function Chain:rows(x, first, last)
  local shape, axis = { table.unpack(x.shape) }, #x.shape - 2
  shape[axis + 1] = last - first
  return self:add("Slice", { x, ints { first }, ints { last }, ints { axis }, ints { 1 } }, shape)
end

local function order(rank, ...)
  local perm = {}
  for k = 1, rank do perm[k] = k - 1 end
  for k, axis in ipairs { ... } do perm[rank - select("#", ...) + k] = axis + rank end
  return perm
end

local function with(shape, ...)
  local list, tail = {}, { ... }
  for k = 1, #shape - 2 do list[k] = shape[k] end
  return table.move(tail, 1, #tail, #list + 1, list)
end

-- [..., C, N] with N a multiple of the block: blocks of N, each with C rows.
function Chain:whole(x, block)
  local shape = x.shape
  local c, n = shape[#shape - 1], shape[#shape]
  local y = self:reshape(x, with(shape, c, n // block, block))
  return self:reshape(self:transpose(y, order(#shape + 1, -2, -3, -1)), shape)
end

-- The same with a rest: the rows of the transposed matrix, the whole blocks of them in blocks.
function Chain:rest(x, block)
  local shape = x.shape
  local c, n = shape[#shape - 1], shape[#shape]
  local whole = n // block * block
  local t = self:transpose(x, order(#shape, -1, -2))
  if whole == 0 then return self:reshape(t, shape) end
  local a = self:reshape(self:rows(t, 0, whole), with(shape, whole // block, block, c))
  a = self:reshape(self:transpose(a, order(#shape + 1, -3, -1, -2)), with(shape, whole, c))
  local both = self:add("Concat", { a, self:rows(t, whole, n) }, t.shape, { axis = #shape - 2 })
  return self:reshape(both, shape)
end

function Chain:pack(x, chip)
  local shape, block = x.shape, x.dtype == "int8" and 16 or 8
  if chip.order == "plain" then return self:reshape(self:transpose(x, order(#shape, -1, -2)), shape) end
  return shape[#shape] % block == 0 and self:whole(x, block) or self:rest(x, block)
end

local function chip_of(name)
  for _, t in ipairs(core.targets()) do
    if t.runtime == "v3" and t.chip == name then return t end
  end
end

--- Changes the device graph in place.
function M.pack(device, options)
  local later, list = is_later(options.runtime_version), {}
  for _, node in ipairs(device.nodes) do
    local b = node.op_type == "MatMul" and node.inputs[2]
    local is_integer = b and (b.dtype == "int8" or b.dtype == "int16")
    if is_integer and not later then
      local chain = setmetatable({ device = device, list = list, base = b.name }, Chain)
      node.inputs[2] = chain:pack(b, chip_of(options.target))
    end
    if later and node.op_type == "MatMul" and node.node.column == "v3" then
      node.attrs.input1_layout = is_integer and "native_kn" or "packed"
    end
    list[#list + 1] = node
  end
  device.nodes = list
end

return M
