-- Child of spec/hostile_spec.lua: lua5.4 spec/hostile/mutants.lua MODEL FIRST LAST FOLDER
-- Puts mutants FIRST..LAST of a model through the pipeline. The line of the mutant at work goes to stderr before it, so
-- that the last one is known after a crash; what broke the contract goes to stdout, then one line of totals.
-- VERBOSE=1 prints each mutant's last refusal.
local core = require "espquant.core"
local everything = require "spec.hostile.everything"
local fixtures = require "spec.support.fixtures"
local mutate = require "spec.support.mutate"
local pipeline = require "spec.hostile.pipeline"

local name, first, last, folder = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3]), arg[4]
local verbose = os.getenv "VERBOSE"

local function model_bytes()
  local chip = name == "everything on the chip"
  if chip or name == "everything" then return everything.bytes(chip) end
  if name:match "%.onnx$" then return assert(core.read_file(name)) end
  return fixtures.open(name).bytes "model.onnx"
end

local original = model_bytes()
local p = pipeline.new(folder)

-- A damaged file: half of them still decode.
local function decode(bytes)
  return p:step("decode", core.onnx_decode, bytes)
end

local KINDS = {
  function(rng)
    local at = rng(#original) - 1
    return decode(original:sub(1, at)), "truncated at " .. at
  end,
  function(rng)
    local bytes, what = mutate.bytes(rng, original)
    return decode(bytes), what
  end,
  function(rng)
    local bytes, what = mutate.wire(rng, original)
    return decode(bytes), what
  end,
  function(rng)
    local graph = assert(core.onnx_decode(original))
    return graph, mutate.graph(rng, graph)
  end,
  function(rng)
    local graph = assert(core.onnx_decode(original))
    local what = mutate.graph(rng, graph)
    local bytes = p:step("encode", core.onnx_encode, graph)
    return bytes and decode(bytes), what .. ", encoded"
  end,
}
-- Truncations and bytes are mostly refused at once: fewer of them.
local ORDER = { 3, 4, 5, 3, 4, 2, 3, 4, 5, 1 }

for number = first, last do
  local kind = KINDS[ORDER[number % #ORDER + 1]]
  p.label, p.last = ("%s mutant %d"):format(name, number), nil
  io.stderr:write(p.label, "\n")
  local graph, what = kind(mutate.rng(number))
  p.label = p.label .. " (" .. what .. ")"
  io.stderr:write("  ", what, "\n")
  if graph then p:run(graph, number) end
  if verbose then print(p.label, p.last or "ok") end
end

for _, text in ipairs(p.violations) do print("VIOLATION " .. text) end
local steps = {}
for step, outcomes in pairs(p.outcomes) do
  local parts = {}
  for outcome, n in pairs(outcomes) do parts[#parts + 1] = outcome .. " " .. n end
  table.sort(parts)
  steps[#steps + 1] = ("%s: %s"):format(step, table.concat(parts, ", "))
end
table.sort(steps)
print(table.concat(steps, "\n"))
print(("TOTAL %d mutants, %d violations, slowest step %.2f s, peak %d MB"):format(last - first + 1, #p.violations,
  p.slowest, core.peak_rss() >> 20))
