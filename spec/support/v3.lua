--- The recorded cases of ESP-DL v3 as specs use them.
---
---     v3.each(function(label, case, record) ... end)    -- every case and configuration

local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local passes = require "espquant.passes"

local M = {}

-- Constants that several nodes read become one for each.
local function duplicate_constants(graph)
  for node in graph:nodes() do
    for i, value in ipairs(node.inputs) do
      if value and value.constant and value:use_count() > 1 then
        node:set_input(i, graph:add_constant(nil, value.constant))
      end
    end
  end
end

--- The recorded model in the form that is quantized.
function M.model(case)
  local name = case.has "model_simplified.onnx" and "model_simplified.onnx" or "model.onnx"
  local graph = assert(core.onnx_decode(case.bytes(name)))
  graph.opset = 24
  passes.get("fuse_swish"):apply(graph)
  duplicate_constants(graph)
  assert(graph:infer_shapes())
  return graph
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
