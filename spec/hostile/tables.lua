-- Child of spec/hostile_table_spec.lua: espquant spec/hostile/tables.lua GOOD OUTPUT COUNT
-- Damages a table COUNT times, and lets `espquant table` read each: exit code 0 and an output, or 3, 4, 5, a message
-- that names the file, and none. Prints the codes and how often they came; anything else is an error.
local cli = require "espquant.cli"
local core = require "espquant.core"
local mutate = require "spec.support.mutate"

local good, output, count = assert(core.read_file(arg[1])), arg[2], math.tointeger(arg[3])
local damaged = arg[1]:gsub("%.(%w+)$", "_damaged.%1")
local ALLOWED = { [0] = true, [3] = true, [4] = true, [5] = true }
local codes, said, stdout, stderr = {}, {}, io.stdout, io.stderr

-- What the command says, instead of on the terminal.
io.stderr = setmetatable({ write = function(_, ...) said[#said + 1] = table.concat { ... } return io.stderr end }, {})
io.stdout = { write = function() return io.stdout end, flush = function() return true end }

for number = 1, count do
  local rng = mutate.rng(number)
  local bytes = number % 3 == 0 and good:sub(1, rng(#good) - 1) or mutate.bytes(rng, good)
  assert(core.write_file(damaged, bytes))
  os.remove(output)
  said = {}
  local code = cli.main { "table", damaged, "-o", output }
  local text = table.concat(said)
  local written = core.read_file(output) ~= nil
  if not ALLOWED[code] or written ~= (code == 0) or text:find("traceback", 1, true)
    or code ~= 0 and not text:find(damaged, 1, true) then
    io.stderr = stderr
    error(("mutant %d: code %s, written %s: %s"):format(number, tostring(code), tostring(written), text))
  end
  codes[code] = (codes[code] or 0) + 1
end
for code, n in pairs(codes) do stdout:write(code, "\t", n, "\n") end
io.stdout, io.stderr = stdout, stderr
