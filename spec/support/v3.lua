--- The recorded cases of ESP-DL v3 as specs use them.
---
---     v3.each(function(label, case, record) ... end)    -- every case and configuration

local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local prepare = require "espquant.quant.v3.prepare"
local qtable = require "espquant.qtable"
local roles = require "espquant.quant.v3.roles"

local M = {}

--- The recorded model in the form that is quantized.
function M.model(case)
  return assert(prepare(assert(core.onnx_decode(case.bytes "model.onnx"))))
end

local function integers(list)
  local out = {}
  for i, x in ipairs(list) do out[i] = math.tointeger(x) end
  return out
end

--- The recorded exponents as a table of ours, for the graph of `model`.
function M.recorded_table(graph, record)
  local t = qtable.new { runtime = "v3", target = record.target, bits = record.bits }
  for name, variable in pairs(record.table.variables) do
    if type(variable.exponent) == "table" then
      t:set(name, variable.graph_input and "input" or "activation", integers(variable.exponent)).bits = record.bits
    end
  end
  for _, op in ipairs(record.table.ops) do
    local node = graph:value(op.outputs[1].name).producer -- some nodes have other names
    for i, input in ipairs(op.inputs) do
      local role = roles.of(node, i)
      if input.parameter and (role == "weight" or role == "constant" or role == "bias") then
        t:set(node:input(i).name, role, integers(input.exponent)).bits = math.tointeger(input.bits)
      end
    end
  end
  return t
end

--- Calls f(label, case, record) for every recorded table; record is { folder =, target =, bits =, table = }.
function M.each(f)
  for _, name in ipairs(fixtures.CASES_V3) do
    local case = fixtures.open(name, "v3")
    for _, member in ipairs(case.names "/table%.json$") do
      local json = case.json(member)
      local folder = member:match "^(.*)/"
      f(name .. "/" .. folder, case, { folder = folder, target = json.target, bits = json.num_of_bits, table = json })
    end
  end
end

return M
