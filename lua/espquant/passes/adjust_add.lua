--- Before: constant + x    After: x + constant, as other passes look for it
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "adjust_add",
  match = P.Add { P.const "c", P.any "x" }:as "add":where(function(add) return not add:input(2).constant end),
  rewrite = function(_, m)
    assert(m.add:set_inputs { m.x, m.c })
    return true
  end,
}
