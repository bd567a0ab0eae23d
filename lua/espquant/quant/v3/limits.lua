--- What the kernels of ESP-DL v3 demand of exponents, solved where that is possible, and told.
---
---     limits.apply(context)       -- appends to context.warnings; returns problems
---
--- Products are only ever shifted to the right: the output of Conv, Gemm, MatMul and Mul is at least as coarse as the
--- product of what they read, and is made coarser where it is not. A bias must fit the bits that the chip has for it:
--- its weight gets coarser where it does not. The int8 lanes of the ESP32-S3 saturate sums at 20 bits: layers whose
--- sums go beyond are told.

local links = require "espquant.quant.v3.links"
local roles = require "espquant.quant.v3.roles"

local M = {}

local MAX_EXPONENT = 30 -- kernels make scales by shifting a 32-bit 1
local LANE_BITS = 20 -- of sums in the ESP32-S3's int8 lanes

local rule, root = roles.rule, links.root

local function largest(list)
  local most = -math.huge
  for _, x in ipairs(list) do most = math.max(most, x) end
  return most
end

-- The exponents of input i of a node as its kernel reads it.
local function exponents_of(c, node, i)
  local constant = c.constants[node] and c.constants[node][i]
  if constant then return constant.exponents end
  local slot = c.slots.input[node][i]
  return slot and { root(slot).exponent }
end

-- The largest exponent of the product of inputs 1 and 2.
local function product_exponent(c, node)
  local a, b = exponents_of(c, node, 1), exponents_of(c, node, 2)
  if not a or not b then return -math.huge end
  return largest(a) + largest(b)
end

-- A bias that is too large for its bits at 2^(e_in + e_w) gets a weight of a coarser exponent, channel by channel.
local function fit_bias(c, node)
  local bias, weight = node:input(3), c.constants[node] and c.constants[node][2]
  if roles.of(node, 3) ~= "bias" or not bias.constant or not weight then return false end
  local e_in, most = exponents_of(c, node, 1)[1], 2.0 ^ (c.target.bias_bits[c.widths[node]] - 1) - 1
  local values, raised = bias.constant:reshape({ -1 }):abs():totable(), false
  for i, e in ipairs(weight.exponents) do
    local reached = #weight.exponents > 1 and values[i] or largest(values)
    while reached / 2.0 ^ (e_in + e) > most do e, raised = e + 1, true end
    weight.exponents[i] = e
  end
  return raised
end

local function raise_outputs(c)
  local raised, changed = {}, true
  while changed do
    changed = false
    for _, node in ipairs(c.shifting) do
      local slot, least = root(c.slots.output[node:output(1)]), product_exponent(c, node)
      if slot.exponent < least then
        slot.exponent, changed = least, true
        if not raised[node] then raised[#raised + 1] = node:label() end
        raised[node] = true
      end
    end
  end
  return raised
end

local function warn(c, text, layers)
  if #layers > 0 then c.warnings[#c.warnings + 1] = text:format(table.concat(layers, ", ")) end
end

local MOST = 2.0 ^ (LANE_BITS - 1) - 1

-- The largest sum of a layer on the lanes of the ESP32-S3, as far as the calibration data reach; nil for other layers.
local function largest_sum(c, node)
  local reached = c.absmax[node:output(1).name]
  if c.target.group ~= "s3" or c.widths[node] ~= 8 or node.op_type == "Mul" or not reached then return nil end
  return reached / 2.0 ^ product_exponent(c, node)
end

-- Where the lanes would cut off what the output could hold, the weight gets coarser, until they hold as much.
local function fit_lanes(c, node)
  local weight, sum = c.constants[node] and c.constants[node][2], largest_sum(c, node)
  if not weight or not sum or sum <= MOST then return false end
  local beyond = root(c.slots.output[node:output(1)]).exponent - product_exponent(c, node) - (LANE_BITS - 8)
  for i, e in ipairs(weight.exponents) do weight.exponents[i] = e + math.max(beyond, 0) end
  return beyond > 0
end

-- Layers whose sums (as far as the calibration data reach, of whole windows) do not fit the lanes.
local function wide_sums(c)
  local layers = {}
  for _, node in ipairs(c.shifting) do
    local sum = largest_sum(c, node)
    if sum and sum > MOST then layers[#layers + 1] = ("%s (%.0f)"):format(node:label(), sum) end
  end
  return layers
end

-- The runtime's table of operators has Resize for int8.
local function wide_resizes(c)
  local layers = {}
  for node in c.graph:nodes() do
    if node.op_type == "Resize" and c.widths[node] == 16 then layers[#layers + 1] = node:label() end
  end
  return layers
end

local function problems_of(c)
  local problems = {}
  for _, slot in ipairs(c.roots) do
    if not slot.above and slot.exponent > MAX_EXPONENT then
      problems[#problems + 1] = ("'%s' needs the exponent %d, the chip's kernels hold %d at most; scale the data or "
        .. "the model"):format(slot.value.name, slot.exponent, MAX_EXPONENT)
    end
  end
  return problems
end

--- `context`: graph, widths, slots, roots (list of measured slots), constants (node -> index -> constant), absmax (name
--- -> largest absolute value), target, warnings. Returns a list of problems that nothing here can solve.
function M.apply(context)
  local c, biases, lanes = context, {}, {}
  c.shifting = {}
  for node in c.graph:nodes() do
    if c.widths[node] and rule(node).shifts then
      c.shifting[#c.shifting + 1] = node
      if fit_bias(c, node) then biases[#biases + 1] = node:label() end
      if fit_lanes(c, node) then lanes[#lanes + 1] = node:label() end
    end
  end
  warn(c, "the bias does not fit the chip's bits: the weight has a coarser exponent: %s", biases)
  warn(c, "the 20 bits of the ESP32-S3's int8 lanes hold less than the output: the weight has a coarser exponent: %s",
    lanes)
  warn(c, "the chip shifts to the right only: the output has a coarser exponent than it was measured to need: %s",
    raise_outputs(c))
  warn(c, "sums go beyond the 20 bits of the ESP32-S3's int8 lanes, which saturate; int16 does not: %s", wide_sums(c))
  warn(c, "ESP-DL's documents list Resize for int8 only, as --int8 makes it: %s", wide_resizes(c))
  return problems_of(c)
end

return M
