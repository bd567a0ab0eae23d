--- Before: PRelu(x, slope) with one slope per channel in another shape    After: slope of shape (C,1,1), x of rank 4
--- One slope for all is of shape (1,1,1), x of rank 3 or more.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes = require "espquant.axes"

local function shape_of(x, slope)
  local rank = axes.rank(x)
  if not rank or rank < 3 then return nil end
  if slope.count == 1 then return { 1, 1, 1 } end
  if rank == 4 and slope.rank == 4 and slope.count == slope.shape[2] then return { slope.count, 1, 1 } end
end

return pass {
  name = "slope",
  match = P.PRelu { P.any "x", P.const "slope" }:as "node",
  rewrite = function(graph, m)
    local slope = m.slope.constant
    local shape = shape_of(m.x, slope)
    if not shape or axes.equal(shape, slope.shape) then return false end
    pass.set_constant(graph, m.node, 2, slope:reshape(shape), "slope")
    return true
  end,
}
