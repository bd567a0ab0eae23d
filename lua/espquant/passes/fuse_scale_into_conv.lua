--- Before: Conv(x, w, b) * k, / k, + k or - k, k constant, one number or one per output channel
--- After:  Conv(x, w * k, b * k), Conv(x, w / k, b / k), Conv(x, w, b + k) or Conv(x, w, b - k)
--- The Conv's output must have no other reader, and all new numbers be finite.
local P, pass = require "espquant.pattern", require "espquant.pass"
local channels = require "espquant.channels"

local function filters(k, rank)
  local shape = { -1 }
  for i = 2, rank do shape[i] = 1 end
  return k:reshape(shape)
end

local apply = {
  Mul = function(w, b, k) return w * filters(k, w.rank), b and b * k end,
  Div = function(w, b, k) return w / filters(k, w.rank), b and b / k end,
  Add = function(w, b, k) return w, b and b + k or k end,
  Sub = function(w, b, k) return w, (b or 0) - k end,
}

local commutes = { Add = true, Mul = true }

local function is_plain(conv, w)
  return conv.dtype == "float32" and conv.rank == 1 and conv.count == w.shape[1]
end

return pass {
  name = "fuse_scale_into_conv",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      local rule = node.alive and apply[node.op_type]
      local conv = P.Conv { P.any "x", P.const "w", P.opt(P.const "b") }:as "conv":only_use()
      local p = rule and P[node.op_type] { conv, P.const "k" }
      local m = p and P.match(commutes[node.op_type] and p:any_order() or p, node)
      local w, b = m and m.w.constant, m and m.b and m.b.constant
      local k = w and w.dtype == "float32" and w.rank >= 3 and (not b or is_plain(b, w))
        and channels.vector(m.k.constant, w.shape[1], w.rank)
      if k then
        local weight, bias = rule(w, b, k)
        local finite = weight:isfinite() and (not bias or bias:isfinite()) and k:isfinite()
        if finite and pass.replace(graph, node, m.conv) then
          if weight ~= w then pass.set_constant(graph, m.conv, 2, weight, "weight") end
          if bias then pass.set_constant(graph, m.conv, 3, bias, "bias") end
          count = count + 1
        end
      end
    end
    return count
  end,
}
