--- Before: a graph    After: the same (for lists of passes that name it)
local pass = require "espquant.pass"

return pass { name = "nop", run = function() return 0 end }
