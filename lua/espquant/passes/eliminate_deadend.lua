--- Before: nodes whose results nobody needs    After: gone, with the constants that only they read
local pass = require "espquant.pass"

return pass { name = "eliminate_deadend", run = function(graph) return graph:prune() end }
