--- Before: Where(Not(c), x, y)    After: Where(c, y, x)
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "rewrite_where",
  match = P.Where { P.Not { P.any "c" }:as "negation", P.any "x", P.any "y" }:as "where",
  rewrite = function(graph, m)
    assert(m.where:set_inputs { m.c, m.y, m.x })
    pass.release(graph, m.negation)
    return true
  end,
}
