--- Before: Constant(value = tensor) -> readers    After: a constant -> readers
--- Reading a file does this already; graphs that a program builds may still have such nodes.
local P, pass = require "espquant.pattern", require "espquant.pass"

return pass {
  name = "extract_constant_to_initializer",
  match = P.Constant {}:as "node",
  rewrite = function(graph, m)
    local tensor = m.node:attr "value"
    return type(tensor) == "userdata" and pass.replace_by_constant(graph, m.node, tensor)
  end,
}
