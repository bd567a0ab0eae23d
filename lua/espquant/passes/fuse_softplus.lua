--- Before: Log(Exp(x) + 1)    After: Softplus(x)
--- No other reader of what lies between. (Where Exp overflows, Softplus does not.)
local P, pass = require "espquant.pattern", require "espquant.pass"
local numbers = require "espquant.numbers"

return pass {
  name = "fuse_softplus",
  match = P.Log { P.Add { P.Exp { P.any "x" }:only_use(), numbers.is(1) }:any_order():only_use() }:as "log",
  rewrite = function(graph, m)
    if not numbers.same_form(m.x, m.log:output(1)) then return false end
    local made = assert(graph:add_node { op_type = "Softplus", name = m.log.name, inputs = { m.x }, before = m.log })
    return pass.supersede(graph, m.log, made)
  end,
}
