--- Before: Log(Softmax(x))    After: LogSoftmax(x), same axis
--- The Softmax must have no other reader.
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "fuse_consecutive_log_softmax",
  match = P.Log { P.Softmax { P.any "x" }:as "softmax":only_use() }:as "log",
  rewrite = function(graph, m)
    local node = assert(graph:add_node {
      op_type = "LogSoftmax", name = m.log.name, inputs = { m.x }, attrs = m.softmax:attrs(), before = m.log,
    })
    return pass.supersede(graph, m.log, node)
  end,
}
