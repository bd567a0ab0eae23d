--- Exponents that float errors could have decided: of tensors whose range lies so close to where the exponent changes that
--- another order of sums, as other instruction sets have it, may fall on the other side.
---
---     if boundary.is_near(absmax, function(x) return core.exponent_of_absmax(x, 8) end) then ... end

local M = {}

--- How far sums of float32 may be apart, relative to the range of their tensor: some 60 units in the last place.
M.ERROR = 2.0 ^ -18

local function same(a, b) return a == b or a ~= a and b ~= b end

--- Whether an exponent is another one a little above or below `x`.
function M.is_near(x, exponent_of)
  if x ~= x or x == 0 or x == math.huge then return false end
  return not same(exponent_of(x * (1 - M.ERROR)), exponent_of(x * (1 + M.ERROR)))
end

return M
