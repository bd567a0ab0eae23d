--- Before: Pad(x, pads, 0) -> AveragePool           After: AveragePool with the pads added, which it counts
--- Before: Pad(x, pads, -infinity) -> MaxPool       After: MaxPool with the pads added
--- Only on the spatial axes, none negative, less than the kernel, no auto_pad, no ceil_mode; an AveragePool must have
--- no pads of its own that it does not count.
local P, pass = require "espquant.pattern", require "espquant.pass"
local padding = require "espquant.padding"

local function is_zero(pads)
  for _, n in ipairs(pads or {}) do
    if n ~= 0 then return false end
  end
  return true
end

local function fits(pad, pool)
  local fill = padding.fill(pad)
  if pool.op_type == "MaxPool" then return fill == -math.huge end
  return fill == 0 and (pool:attr "count_include_pad" == 1 or is_zero(pass.attr(pool, "pads", "integers")))
end

-- Whether every window holds something that is no padding.
local function is_less(pads, kernel)
  for i, n in ipairs(pads) do
    if n >= kernel[(i - 1) % #kernel + 1] then return false end
  end
  return true
end

return pass {
  name = "fuse_pad_into_pool",
  match = P.one_of({ "AveragePool", "MaxPool" }, {
    P.Pad { P.any "x" }:more():with { mode = "constant" }:as "pad":only_use(),
  }):with { auto_pad = "NOTSET" }:as "pool",
  rewrite = function(graph, m)
    local kernel = pass.attr(m.pool, "kernel_shape", "integers")
    if not kernel or not fits(m.pad, m.pool) or m.pool:attr("ceil_mode", 0) ~= 0 then return false end
    local pads = padding.spatial(m.pad, #kernel + 2)
    local sum = pads and padding.add(m.pool, pads)
    if not sum or not is_less(sum, kernel) then return false end
    assert(m.pool:set_attr("pads", sum, "ints"))
    if m.pool.op_type == "AveragePool" then assert(m.pool:set_attr("count_include_pad", 1)) end
    assert(m.pool:set_input(1, m.x))
    pass.release(graph, m.pad)
    return true
  end,
}
