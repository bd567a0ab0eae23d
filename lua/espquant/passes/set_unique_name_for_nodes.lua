--- Before: nodes without a name, or with that of an earlier node    After: <operator>_0, <operator>_1, ...
--- `optimize` does so at its end, and saving in the file, in any case.
local pass, node_names = require "espquant.pass", require "espquant.node_names"

return pass { name = "set_unique_name_for_nodes", run = node_names.complete }
