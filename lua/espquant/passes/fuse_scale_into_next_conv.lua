--- Before: Conv(x * k, w, b) or Conv(x / k, w, b)    After: Conv(x, w * k, b), Conv(x, w / k, b)
--- Before: Conv(x + k, w, b) or Conv(x - k, w, b)    After: Conv(x, w, b + sum of w * k), where the Conv pads nothing
--- k is constant, one number or one per input channel. The scaled tensor has no other reader, and all new numbers are
--- finite.
local P, pass = require "espquant.pattern", require "espquant.pass"
local axes, channels = require "espquant.axes", require "espquant.channels"
local core = require "espquant.core"

local function pads_nothing(conv)
  local auto = conv:attr("auto_pad", "NOTSET")
  for _, n in ipairs(axes.attribute(conv, "pads") or {}) do
    if n ~= 0 then return false end
  end
  return auto == "NOTSET" or auto == "VALID"
end

-- The sum over all weights of a filter, each times its channel's number; w is (group, filters, channels, positions) and
-- k (group, 1, channels, 1).
local function filter_sums(w, k)
  local product = w * k
  local sums, rows = {}, product.shape[1] * product.shape[2]
  local flat = product:reshape { rows, -1 }
  for i = 1, rows do sums[i] = flat:slice(i, i):sum() end
  return core.tensor_from(sums, "float32")
end

local SIGNS = { Add = 1, Sub = -1 }

-- The new weight and bias, either as it was; nil where the node stays.
local function apply(m, w, b, k, group)
  local op = m.node.op_type
  local grouped = w:reshape { group, w.shape[1] // group, w.shape[2], -1 }
  local factors = k:reshape { group, 1, w.shape[2], 1 }
  if op == "Mul" then return (grouped * factors):reshape(w.shape), b end
  if op == "Div" then return (grouped / factors):reshape(w.shape), b end
  if not pads_nothing(m.conv) then return nil end
  local shift = filter_sums(grouped, factors * core.tensor({ 1 }):fill(SIGNS[op]))
  return w, b and b + shift or shift
end

local function is_conv(m)
  local w, b, group = m.w.constant, m.b and m.b.constant, pass.attr(m.conv, "group", "integer")
  return w.dtype == "float32" and w.rank >= 3 and w.count > 0 and group and group >= 1 and w.shape[1] % group == 0
    and (not b or (b.dtype == "float32" and b.rank == 1 and b.count == w.shape[1])) and group
end

local function fuse(graph, m)
  local group, w, b = is_conv(m), m.w.constant, m.b and m.b.constant
  -- The constant must not be what gives the tensor its shape.
  if not group or axes.rank(m.x) ~= w.rank or m.x.dtype ~= "float32" or m.x.shape[2] ~= group * w.shape[2] then
    return false
  end
  local k = channels.vector(m.k.constant, group * w.shape[2], w.rank)
  local weight, bias = nil, nil
  if k then weight, bias = apply(m, w, b, k, group) end
  if not weight or not weight:isfinite() or not k:isfinite() or (bias and not bias:isfinite()) then return false end
  if weight ~= w then pass.set_constant(graph, m.conv, 2, weight, "weight") end
  if bias and bias ~= b then pass.set_constant(graph, m.conv, 3, bias, "bias") end
  assert(m.conv:set_input(1, m.x))
  pass.release(graph, m.node)
  return true
end

local function before(op, commutes)
  local p = P[op] { P.any "x", P.const "k" }:as "node":only_use()
  return P.Conv { commutes and p:any_order() or p, P.const "w", P.opt(P.const "b") }:as "conv"
end

local FORMS = { before("Mul", true), before("Add", true), before("Div"), before("Sub") }

return pass {
  name = "fuse_scale_into_next_conv",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local i = node.alive and node.op_type == "Conv" and 1 or math.huge
      while i <= #FORMS do
        local m = P.match(FORMS[i], node)
        local done = m and fuse(graph, m)
        count, i = done and count + 1 or count, done and 1 or i + 1
      end
    end
    return count
  end,
}
