--- The test inside of an .espdl file, run on the graph that was read of it.
---
---     local facts, message, code = espdl_test(espdl_graph.read(entry), entry)

local core = require "espquant.core"
local tensors = require "espquant.espdl_tensors"

local function tensors_of(list, problems)
  local by_name = {}
  for _, t in ipairs(list or {}) do
    local tensor, why = tensors.read(t)
    by_name[t.name or ""] = tensor
    problems[#problems + 1] = why
  end
  return by_name
end

local FLOAT = 2e-5 -- the chip's own tolerance

-- How far two tensors are apart: elements that differ, and by how much at most.
local function compare(got, want)
  if got.count ~= want.count then return want.count, math.huge end
  local a, b = got:reshape { -1 }:astype "float32", want:reshape { -1 }:astype "float32"
  if got.dtype == "float32" then
    local most = (a - b):maxabs()
    return most <= FLOAT and 0 or want.count, most
  end
  local _, _, wrong = a:equal(b)
  return wrong or 0, (a - b):maxabs()
end

--- Runs the test inside: a list of { name, elements, different, most }; an empty list where the file has none. Nil,
--- message, code.
return function(graph, entry)
  local source, problems = entry.model.graph or {}, {}
  local given, wanted = tensors_of(source.test_inputs_value, problems), tensors_of(source.test_outputs_value, problems)
  if #problems > 0 then return nil, problems[1], "format", problems end
  if not next(given) then return {} end
  local images, names = {}, {}
  for i, input in ipairs(graph.inputs) do
    images[i] = given[input.name]
    if not images[i] then return nil, ("the test has nothing for the input '%s'"):format(input.name), "format" end
  end
  for _, t in ipairs(source.test_outputs_value or {}) do
    if not graph:value(t.name or "") then return nil, ("the test's '%s' is no tensor"):format(t.name or ""),
      "format" end
    names[#names + 1] = t.name
  end
  local exec <close>, message, code = core.executor(graph, { outputs = names, threads = 1 })
  if not exec then return nil, message, code end
  local got
  got, message, code = exec:run(#images == 1 and images[1] or images)
  if not got then return nil, message, code end
  local facts = {}
  for i, name in ipairs(names) do
    local different, most = compare(got[i], wanted[name])
    facts[i] = { name = name, elements = wanted[name].count, different = different, most = most }
  end
  return facts
end
