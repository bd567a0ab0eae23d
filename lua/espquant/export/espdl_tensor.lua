--- Tensors as an .espdl file holds them: little-endian bytes in blocks of 16, filters in the order of the chip's
--- kernels.
---
---     tensors.plain("shape5", tensor, quant)
---     tensors.filter("conv_w", weight, quant, "oihw", { chip = "esp32s3", grouped = false })

local core = require "espquant.core"
local schema = require "espquant.codec.espdl_schema"

local M = {}

local TYPES = {}
for i, name in ipairs(schema.enums.TensorDataType) do TYPES[name:lower()] = i - 2 end
TYPES.float32, TYPES.float64 = TYPES.float, TYPES.double

--- The number of a dtype in the file.
function M.dtype(name) return TYPES[name] or error("no data type " .. tostring(name)) end

local function padded(bytes) return bytes .. ("\0"):rep(-#bytes % 16) end

local function exponents_of(quant)
  return quant and { table.unpack(quant.exponents) } or { 0 }
end

--- A tensor as it lies. Tensors without elements have no bytes.
function M.plain(name, tensor, quant, layout)
  return { name = name, dims = { table.unpack(tensor.shape) }, data_type = M.dtype(tensor.dtype),
    raw_data = padded(tensor:tobytes()), exponents = exponents_of(quant),
    doc_string = "layout ==> " .. (layout or "UNK") }
end

-- "(N/16)HWC16_UNALIGNED": what the file calls the order, by rank and alignment.
local function layout_name(chip, grouped, window, channels, bits)
  if chip.order == "plain" then return grouped and window .. "CN" or "N" .. window .. "C" end
  local block = bits == 8 and 16 or 8
  return ("(N/%d)%sC%d%s"):format(block, window, block, channels % block == 0 and "" or "_UNALIGNED")
end

local AXES = { [2] = "oi", [3] = "oiw", [4] = "oihw" }

local function target_of(chip)
  for _, t in ipairs(core.targets()) do
    if t.runtime == "v3" and t.chip == chip then return t end
  end
end

local function bits_of(tensor) return tensor.dtype == "int8" and 8 or 16 end

--- A Conv's filter [output channels][input channels of a group][...]; `grouped` when there is a group for each channel.
function M.filter(name, tensor, quant, chip, grouped)
  local shape, rank = tensor.shape, tensor.rank
  local window, dims = rank == 4 and "HW" or "W", {}
  local packed = assert(core.pack_filter(tensor,
    { axes = AXES[rank], target = chip, runtime = "v3", grouped = grouped }))
  for axis = 3, rank do dims[#dims + 1] = shape[axis] end
  dims[#dims + 1] = grouped and shape[1] or shape[2]
  dims[#dims + 1] = grouped and shape[2] or shape[1]
  local made = M.plain(name, packed, quant, layout_name(target_of(chip), grouped, window, shape[1], bits_of(tensor)))
  made.dims = dims
  return made
end

--- A Gemm's weight, with axes "oi" or "io", as the filter of a 1x1 Conv.
function M.gemm(name, tensor, quant, chip, axes)
  local out, inputs = axes:find "o", axes:find "i"
  local packed = assert(core.pack_filter(tensor, { axes = axes, target = chip, runtime = "v3" }))
  local channels = tensor.shape[out]
  local made = M.plain(name, packed, quant, layout_name(target_of(chip), false, "HW", channels, bits_of(tensor)))
  made.dims = { 1, 1, tensor.shape[inputs], channels }
  return made
end

--- The constant right operand of a MatMul: each of its matrices packed like a Gemm's weight; the shape stays.
function M.matrices(name, tensor, quant, chip)
  local shape, parts = tensor.shape, {}
  local rows, columns = shape[#shape - 1], shape[#shape]
  local stack = tensor:reshape { -1, rows, columns }
  for i = 1, stack.shape[1] do
    local matrix = stack:slice(i, i):reshape { rows, columns }
    parts[i] = assert(core.pack_filter(matrix, { axes = "io", target = chip, runtime = "v3" })):tobytes()
  end
  local made = M.plain(name, tensor, quant, layout_name(target_of(chip), false, "HW", columns, bits_of(tensor)))
  made.raw_data = padded(table.concat(parts))
  return made
end

--- What stands in value_info, input and output: { name, dtype, shape, quant }.
function M.info(value)
  local dims = {}
  for k, d in ipairs(value.shape) do dims[k] = { value = { dim_type = 1, dim_value = d } } end
  local is_integer = value.dtype == "int8" or value.dtype == "int16"
  return { name = value.name, exponents = exponents_of(is_integer and value.quant), value_info_type = { value_type = 1,
    value = { elem_type = M.dtype(value.dtype), shape = { dim = dims } } } }
end

return M
