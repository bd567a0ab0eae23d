--- BatchNormalization as the affine map that it is at inference.
---
---     y = (x - mean) * k + bias    with    k = scale / sqrt(var + epsilon)
---
--- All arithmetic in float32 and in this order, as the original computes it.

local M = {}

local function is_vector(value, count)
  local t = value.constant
  return t.dtype == "float32" and t.rank == 1 and t.count == count
end

local function is_plain(bn, m, channels)
  return bn:attr "training_mode" == 0 and is_vector(m.scale, channels) and is_vector(m.bias, channels) and
    is_vector(m.mean, channels) and is_vector(m.var, channels)
end

--- For captures m = {bn, scale, bias, mean, var} and a number or tensor b that is added before the BatchNormalization:
--- k and the number to add after it, one per channel. Nil where it is no such map, or has no finite factors.
function M.fold(m, channels, b)
  local epsilon = m.bn:attr "epsilon"
  if math.type(epsilon) ~= "float" or not is_plain(m.bn, m, channels) then return nil end
  local k = m.scale.constant / (m.var.constant + epsilon):sqrt()
  local shift = (b - m.mean.constant) * k + m.bias.constant
  if k:isfinite() and shift:isfinite() then return k, shift end
end

return M
