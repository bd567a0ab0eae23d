--- The integers that esp-ppq recorded, for every case, chip and width: from its exponents, and from our own table of
--- its calibration data. Prints how many elements were compared.
local core = require "espquant.core"
local observe = require "espquant.quant.v3.observe"
local policy = require "espquant.quant.v3.policy"
local apply = require "espquant.quant.v3.apply"
local v3 = require "spec.support.v3"
local zip = require "espquant.codec.zip"

local SOFTMAX = 1e-6 -- float32: its last bits depend on the math library

local function own_table(graph, record, data)
  return assert(policy.build(graph, { bits = record.bits, target = record.target }, function(copy, roots, extra)
    local exec <close> = assert(core.executor(copy, { threads = 1, outputs = {} }))
    return observe.run(copy, roots, extra, function(o) assert(exec:run(data, o, false)) end, 1)
  end))
end

-- What was recorded of the graph's tensors: name -> tensor; outputs go before what the simulation had inside.
local function recorded(case, record, graph)
  local tensors, variables = {}, record.table.variables
  local integral = {}
  for name, variable in pairs(variables) do integral[name:gsub("/", "__")] = variable.integral and name end
  for _, member in ipairs(assert(zip.decode_npz(case.bytes(record.folder .. "/tensors_int.npz")))) do
    local name = integral[member.name]
    member.name = nil
    if name and graph:value(name) then tensors[name] = assert(core.tensor_frombytes(member)) end
  end
  for k, name in ipairs(record.table.graph_outputs) do
    tensors[name] = case.tensor(("%s/output_int_%d.npy"):format(record.folder, k - 1))
  end
  return tensors
end

local function sorted(tensors)
  local names = {}
  for name in pairs(tensors) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Runs the graph on the recorded input; counts elements that are equal.
local function compare(label, q, case, record, counts)
  local want = recorded(case, record, q)
  local names = sorted(want)
  local exec <close> = assert(core.executor(q, { threads = 1, outputs = names }))
  local got = assert(exec:run(case.tensor "input.npy"))
  for i, name in ipairs(names) do
    local where = label .. " " .. name
    if got[i].dtype == "float32" then
      assert.is_true((got[i] - want[name]:astype "float32"):maxabs() <= SOFTMAX, where)
      counts.floats = counts.floats + want[name].count
    else
      local same, _, wrong = got[i]:equal(want[name]:astype(got[i].dtype))
      if not same then table.insert(counts.problems, ("%s: %d of %d"):format(where, wrong, want[name].count)) end
      counts.equal = counts.equal + want[name].count - (wrong or 0)
      counts.integers = counts.integers + want[name].count
    end
  end
end

local function each(table_of)
  local counts = { integers = 0, equal = 0, floats = 0, graphs = 0, problems = {} }
  v3.each(function(label, case, record)
    local graph = v3.model(case)
    local q = assert(apply(graph, table_of(graph, record, case), { chip = record.target, bits = record.bits }))
    compare(label, q, case, record, counts)
    counts.graphs = counts.graphs + 1
  end)
  print(("  %d integer graphs: %d of %d integers equal, %d floats within %g"):format(counts.graphs, counts.equal,
    counts.integers, counts.floats, SOFTMAX))
  assert.same({}, counts.problems)
  assert.equal(52, counts.graphs)
end

describe("the integer graph of ESP-DL v3", function()
  it("computes every recorded integer with the recorded exponents", function()
    each(v3.recorded_table)
  end)

  it("computes every recorded output with a table of its own", function()
    each(function(graph, record, case) return own_table(graph, record, case.tensor "calib.npy") end)
  end)
end)
