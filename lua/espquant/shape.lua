--- Shapes as text.

local M = {}

--- "3x28x28"; open dimensions as their symbol or "?"; `unknown` (default "?") where there is no shape.
function M.text(shape, unknown)
  if not shape then return unknown or "?" end
  local parts = {}
  for i, d in ipairs(shape) do parts[i] = d and tostring(d) or "?" end
  return #parts > 0 and table.concat(parts, "x") or "scalar"
end

return M
