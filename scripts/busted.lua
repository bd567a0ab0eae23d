-- Runs busted in this interpreter (Debian's own command would choose Lua 5.1).
require "busted.runner" { standalone = false }
